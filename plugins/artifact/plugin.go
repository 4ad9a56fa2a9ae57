package artifact

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	oci "strake.dev/strake/internal/artifact"
	"strake.dev/strake/internal/content"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// Config is the configuration of a publish entry.
type Config struct {
	// URL is where the manifests go: oci://HOST/REPOSITORY:TAG.
	URL string `json:"url" required:"true"`
	// Tags are further tags.
	Tags []string `json:"tags,omitempty"`
	// Format is artifact, which strake, Kustomizer and Flux read, or bundle, which is imgpkg's.
	Format string `json:"format,omitempty" enum:"artifact,bundle"`
	// Encrypt encrypts for those who have private keys of age.
	Encrypt *Encrypt `json:"encrypt,omitempty"`
	// Sign signs the artifact before its tags name it.
	Sign *Sign `json:"sign,omitempty"`
	// Provenance attaches a statement of what the manifests were made of and by what, in the form of SLSA.
	Provenance bool `json:"provenance,omitempty"`
	// PlainSecrets allows Secrets whose values anybody can read who can read the repository.
	PlainSecrets bool `json:"plainSecrets,omitempty"`
}

// Encrypt says what is encrypted, and for whom.
type Encrypt struct {
	// Recipients are public keys of age.
	Recipients []string `json:"recipients" required:"true"`
	// What is secrets, which encrypts the values of Secrets in the form of SOPS, or all.
	What string `json:"what,omitempty" enum:"secrets,all"`
}

// SetDefaults chooses what Flux can decrypt, too.
func (e *Encrypt) SetDefaults() { e.What = encryptSecrets }

const (
	encryptSecrets = "secrets"
	encryptAll     = "all"
)

// SetDefaults chooses the form that most tools read.
func (c *Config) SetDefaults() { c.Format, c.Provenance = oci.FormatArtifact, true }

// Validate checks the URL, the tags and the keys.
func (c *Config) Validate(n *schema.Node) error {
	var found schema.Diagnostics
	if _, err := c.tags(); err != nil {
		at := n.Get("url")
		found = append(found, schema.Diagnostic{Pos: at.Pos(), Path: at.Path(), Msg: err.Error(), Hint: stages.Hint(err)})
	}
	if c.Encrypt != nil {
		if _, err := c.Encrypt.recipients(); err != nil {
			at := n.Get("encrypt").Get("recipients")
			found = append(found, schema.Diagnostic{Pos: at.Pos(), Path: at.Path(), Msg: err.Error(), Hint: stages.Hint(err)})
		}
		if c.Format == oci.FormatBundle && c.Encrypt.What == encryptAll {
			found = append(found, n.Get("encrypt").Errorf("a bundle can't be encrypted as a whole: imgpkg and kapp-controller couldn't read it"))
		}
	}
	return found.Err()
}

// tags are all tags, that of the URL first.
func (c *Config) tags() ([]name.Tag, error) {
	first, err := oci.ParseTag(c.URL)
	if err != nil {
		return nil, err
	}
	all := []name.Tag{first}
	for _, text := range c.Tags {
		tag, err := name.NewTag(first.Context().Name() + ":" + text)
		if err != nil {
			return nil, fmt.Errorf("tag %q: %w", text, err)
		}
		if !slices.Contains(all, tag) {
			all = append(all, tag)
		}
	}
	return all, nil
}

func (e *Encrypt) recipients() ([]oci.Recipient, error) {
	return oci.ParseRecipients("recipients", strings.NewReader(strings.Join(e.Recipients, "\n")+"\n"))
}

// Deps are what the plugin needs from the program.
type Deps struct{ Registry *registry.Client }

// Plugin returns the plugin that entries “publish: [{artifact: …}]” name.
func Plugin(deps Deps) stages.Plugin {
	return stages.Define(stages.Plugin{
		Stage:   stages.Publish,
		Name:    "artifact",
		Doc:     "Keeps the manifests in a container registry, as an artifact that strake, Kustomizer, Flux or imgpkg read.",
		Version: "1",
	}, func(c Config) (stages.Step, error) { return &step{config: c, registry: deps.Registry}, nil })
}

type step struct {
	config   Config
	registry *registry.Client
}

var (
	_ stages.Step    = (*step)(nil)
	_ stages.Planner = (*step)(nil)
	_ stages.Checker = (*step)(nil)
)

// Check makes sure that the key can be read and the repository be written to.
func (s *step) Check(ctx context.Context, job *stages.Job) error {
	if _, err := s.signer(ctx, job); err != nil {
		return err
	}
	tags, err := s.config.tags()
	if err != nil {
		return err
	}
	if err := s.registry.MayPush(ctx, tags[0].Context()); err != nil {
		err = fmt.Errorf("%s: %s", s.config.URL, registry.Reason(err))
		return stages.WithHint(err, "log in with docker login: credentials are taken from DOCKER_CONFIG")
	}
	return nil
}

// Run pushes the manifests. If the registry has them already, nothing is uploaded.
func (s *step) Run(ctx context.Context, job *stages.Job) (stages.Result, error) {
	if err := ctx.Err(); err != nil {
		return stages.Result{}, err
	}
	p, tags, err := s.content(job)
	if err != nil {
		return stages.Result{}, err
	}
	signer, err := s.signer(ctx, job)
	if err != nil {
		return stages.Result{}, err
	}
	attach := func(ctx context.Context, digest name.Digest) error { return s.attach(ctx, job, p, digest, signer) }
	sealed := s.sealed(job, p)
	there, err := s.there(ctx, sealed.Digest, tags)
	if err == nil && there != nil {
		err = attach(ctx, *there)
	}
	if err != nil {
		return stages.Result{}, err
	}
	if there != nil {
		return s.kept(job, tags[0], *there), nil
	}
	image, err := s.pack(p)
	if err != nil {
		return stages.Result{}, err
	}
	pushed, err := oci.PushWith(ctx, s.registry, image, attach, tags...)
	if err != nil {
		return stages.Result{}, err
	}
	if pushed.Unchanged {
		return s.kept(job, tags[0], pushed.Ref), nil
	}
	if err := sealed.remember(pushed.Ref.DigestStr()); err != nil {
		return stages.Result{}, err
	}
	change := pushOf(tags[0], pushed.Ref.DigestStr())
	job.Events.Observe(stages.Event{Type: stages.ChangeMade, Change: &change})
	return stages.Result{Origin: origin(tags[0], pushed.Ref)}, nil
}

// kept is the result for an artifact that is there already.
func (s *step) kept(job *stages.Job, tag name.Tag, ref name.Digest) stages.Result {
	stages.Log(job.Events, ref.Name()+" is there already")
	return stages.Result{Origin: origin(tag, ref)}
}

// Plan tells whether Run would push anything.
func (s *step) Plan(ctx context.Context, job *stages.Job) (stages.Result, []stages.Change, error) {
	if err := ctx.Err(); err != nil {
		return stages.Result{}, nil, err
	}
	p, tags, err := s.content(job)
	if err != nil {
		return stages.Result{}, nil, err
	}
	if job.Provisional {
		return stages.Result{}, []stages.Change{pushOf(tags[0], "its images are yet to be built")}, nil
	}
	digest := s.sealed(job, p).Digest
	if s.config.Encrypt == nil {
		image, err := s.pack(p)
		if err != nil {
			return stages.Result{}, nil, err
		}
		hash, err := image.Digest()
		if err != nil {
			return stages.Result{}, nil, err
		}
		digest = hash.String()
	}
	there, err := s.there(ctx, digest, tags)
	if err != nil {
		return stages.Result{}, nil, err
	}
	if there != nil {
		return stages.Result{Origin: origin(tags[0], *there)}, nil, nil
	}
	return stages.Result{}, []stages.Change{pushOf(tags[0], "it differs from what is there")}, nil
}

// there is the artifact of a digest if all tags name it; nil if not, or if there is no digest.
func (s *step) there(ctx context.Context, digest string, tags []name.Tag) (*name.Digest, error) {
	if digest == "" {
		return nil, nil
	}
	for _, tag := range tags {
		found, err := oci.Resolve(ctx, s.registry, tag)
		switch {
		case registry.NotFound(err), err == nil && found.DigestStr() != digest:
			return nil, nil
		case err != nil:
			return nil, err
		}
	}
	ref := tags[0].Context().Digest(digest)
	return &ref, nil
}

func pushOf(tag name.Tag, reason string) stages.Change {
	return stages.Change{Op: "push", Kind: "artifact", Name: oci.URL(tag), Reason: reason}
}

// origin is what a deploy of the artifact is recorded as coming from.
func origin(tag name.Tag, digest name.Digest) stages.Origin {
	return stages.Origin{
		Source: "oci://" + tag.Context().Name(), Revision: tag.TagStr() + "@" + digest.DigestStr(), Artifacts: []string{digest.Name()},
	}
}

// content is what the artifact is made of, not yet encrypted.
func (s *step) content(job *stages.Job) (*oci.Package, []name.Tag, error) {
	tags, err := s.config.tags()
	if err != nil {
		return nil, nil, err
	}
	set, err := content.Parse("manifests", job.Manifests)
	if err != nil {
		return nil, nil, err
	}
	if len(set.Objects) == 0 {
		return nil, nil, stages.WithHint(content.ErrNoObjects, "a publish step comes after those that render")
	}
	if names := secrets(set); len(names) > 0 && s.config.Encrypt == nil && !s.config.PlainSecrets {
		return nil, nil, stages.WithHint(fmt.Errorf("the values of %s would be readable for everybody who may pull the artifact", strings.Join(names, ", ")),
			"encrypt them with “encrypt: {recipients: [age1…]}”, or allow it with “plainSecrets: true”")
	}
	p := &oci.Package{
		Format: s.config.Format, Images: imagesOf(set, job), Date: dateOf(job), Source: job.Origin.Source, Revision: job.Origin.Revision,
	}
	p.Manifests, err = set.YAML()
	return p, tags, err
}

// pack makes the artifact, encrypted if that is wanted.
func (s *step) pack(p *oci.Package) (v1.Image, error) {
	sealed := *p
	if e := s.config.Encrypt; e != nil {
		recipients, err := e.recipients()
		if err != nil {
			return nil, err
		}
		if sealed.Encrypted = e.What == encryptAll; sealed.Encrypted {
			sealed.Manifests, err = oci.Encrypt(p.Manifests, recipients)
		} else {
			var set *content.Set
			if set, err = content.Parse("manifests", p.Manifests); err == nil {
				sealed.Manifests, err = oci.EncryptSecrets(set.Objects, recipients)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return oci.Pack(sealed)
}

// secrets names the Secrets of a set that have values.
func secrets(set *content.Set) []string {
	var names []string
	for _, o := range set.Objects {
		if o.GetAPIVersion() == "v1" && o.GetKind() == "Secret" && (o.Object["data"] != nil || o.Object["stringData"] != nil) {
			names = append(names, content.Name(o))
		}
	}
	return names
}

// imagesOf are the images of a set with their digests. What the build stage knows of them is kept.
func imagesOf(set *content.Set, job *stages.Job) []schema.LockedImage {
	images := oci.Locked(set.Images(nil))
	for n := range images {
		at := slices.IndexFunc(job.Resolved, func(r schema.LockedImage) bool { return r.Image == images[n].Image })
		if at >= 0 {
			images[n] = job.Resolved[at]
		}
	}
	return images
}

// dateOf is the date of the newest source; zero if none has one.
func dateOf(job *stages.Job) time.Time {
	var newest time.Time
	for _, date := range job.SourceDates {
		if date.After(newest) {
			newest = date
		}
	}
	return newest
}
