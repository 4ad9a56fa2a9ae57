package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"

	"strake.dev/strake/internal/artifact"
	"strake.dev/strake/internal/content"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/internal/render"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

type artifactPushOptions struct {
	// inputFlags and runFlags are what the content comes from: files, or a run of an App.
	inputFlags
	runFlags
	app              string
	tags             []string
	form, encrypt    enum
	source, revision string
	recipients       string
	signKey          string
	provenance       bool
	lockImages       bool
	// rendered is the run that --app has asked for.
	rendered *renderedApp
}

const (
	encryptAll     = "all"
	encryptSecrets = "secrets"
)

func newArtifactPushCommand(t *tool) *cobra.Command {
	var opts artifactPushOptions
	cmd := &cobra.Command{
		Use:   "push URL {-k FOLDER|-f FILE|--app FILE} [flags]",
		Short: "Push manifests to a container registry",
		Long: `Build manifests and push them as an OCI artifact, which strake, Kustomizer and
Flux read, or with --format bundle as a bundle of imgpkg, which kapp-controller
takes. Objects are put in the order in which they are applied.

Equal content gives an equal digest, and pushing it again uploads nothing. The
date of the content is that of SOURCE_DATE_EPOCH, or 1970. The artifact keeps the
digests of the images that have one; --lock-images asks the registries for the
others. With --app, the stages of an App or Pipeline before publish and deploy
are run, which builds images, and the manifests are what they have led to.`,
		Example: `  strake artifact push oci://ghcr.io/org/app-config:v1.0.0 -k ./overlays/prod
  strake artifact push oci://ghcr.io/org/app-config:v1.0.0 -f app.yaml --tag latest
  strake artifact push oci://ghcr.io/org/app-config:v1.0.0 --app app.yaml --format bundle`,
		Args: oneURL,
		RunE: func(cmd *cobra.Command, args []string) error { return t.artifactPush(cmd, args[0], &opts) },
	}
	opts.addLocal(cmd)
	opts.outputFlags.add(cmd)
	opts.timeoutFlag.add(cmd)
	opts.remoteFlags.add(cmd.Flags())
	opts.workspaceFlags.add(cmd)
	opts.valueFlags.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&opts.app, "app", "", "run the App or Pipeline in `FILE` up to its images, and push what it renders")
	flags.StringArrayVar(&opts.tags, "tag", nil, "a further `TAG` for the artifact (repeatable)")
	opts.form = enum{value: artifact.FormatArtifact, allowed: []string{artifact.FormatArtifact, artifact.FormatBundle}, what: "FORM"}
	addEnum(cmd, &opts.form, "format", "", "form of the artifact")
	flags.StringVar(&opts.source, "source", "", "where the content is from, such as the `URL` of a repository")
	flags.StringVar(&opts.revision, "revision", "", "the `REVISION` of the source, such as main@sha1:1234567")
	flags.StringVar(&opts.recipients, "age-recipients", "", "encrypt for the public keys of age in `FILE`")
	fromEnv(flags, "age-recipients", "STRAKE_AGE_RECIPIENTS")
	opts.encrypt = enum{value: encryptAll, allowed: []string{encryptAll, encryptSecrets}, what: "WHAT"}
	addEnum(cmd, &opts.encrypt, "age-encrypt", "", "what is encrypted: everything, or only the values of Secrets, in the form of SOPS")
	flags.StringVar(&opts.signKey, "sign-key", "", "sign with the private key in `FILE` before the tags are made; its password is in STRAKE_KEY_PASSWORD or COSIGN_PASSWORD")
	fromEnv(flags, "sign-key", "STRAKE_SIGN_KEY")
	flags.BoolVar(&opts.provenance, "provenance", false, "attach a statement of what the artifact was made of, as it is always done with --sign-key")
	flags.BoolVar(&opts.lockImages, "lock-images", false, "ask the registries for the digests of images without one, and keep them in the artifact")
	return cmd
}

func (t *tool) artifactPush(cmd *cobra.Command, url string, o *artifactPushOptions) error {
	switch {
	case o.app == "" && o.empty():
		return noInputs(cmd)
	case o.app != "" && !o.empty():
		return usagef(cmd, "--app can't be combined with -f and -k: it renders the manifests itself")
	}
	return t.conclude(cmd.Context(), "artifact push", &o.outputFlags, func(events *render.JSON) (printable, error) {
		ctx, cancel := o.limit(cmd.Context())
		defer cancel()
		tags, err := o.allTags(url)
		if err != nil {
			return nil, err
		}
		deps, err := o.deps(t.userAgent())
		if err != nil {
			return nil, err
		}
		signer, err := o.signer(t)
		if err != nil {
			return nil, err
		}
		say := t.sayText(&o.outputFlags)
		say("building manifests...")
		p := artifact.Package{Format: o.form.value, Source: o.source, Revision: o.revision}
		if p.Date, err = t.sourceDate(); err != nil {
			return nil, err
		}
		set, err := t.packContent(ctx, cmd, o, deps.Registry, events, &p)
		if err != nil {
			return nil, err
		}
		result := &artifactPushResult{Objects: []string{}, Images: p.Images, Encrypted: p.Encrypted}
		for _, object := range set.Objects {
			result.Objects = append(result.Objects, content.Name(object))
			say(content.Name(object))
		}
		image, err := artifact.Pack(p)
		if err != nil {
			return nil, err
		}
		what := "image"
		if p.Encrypted {
			what = "encrypted image"
		}
		say("pushing " + what + " " + tags[0].Name())
		pushed, err := artifact.PushWith(ctx, deps.Registry, image, o.attach(t, deps.Registry, signer, p), tags...)
		if err != nil {
			return nil, err
		}
		result.Digest, result.Unchanged, result.Signed = pushed.Ref.Name(), pushed.Unchanged, signer != nil
		for _, tag := range tags {
			result.Tags = append(result.Tags, tag.TagStr())
		}
		return result, nil
	})
}

// allTags are the tags to push to.
func (o *artifactPushOptions) allTags(url string) ([]name.Tag, error) {
	first, err := artifact.ParseTag(url)
	if err != nil {
		return nil, err
	}
	tags := []name.Tag{first}
	for _, text := range o.tags {
		tag, err := name.NewTag(first.Context().Name() + ":" + text)
		if err != nil {
			return nil, fmt.Errorf("--tag %s: %w", text, err)
		}
		tags = append(tags, tag)
	}
	return tags, nil
}

// packContent puts the manifests, and what is known of their images, into a package.
func (t *tool) packContent(ctx context.Context, cmd *cobra.Command, o *artifactPushOptions, client *registry.Client, events *render.JSON, p *artifact.Package) (*content.Set, error) {
	var set *content.Set
	if o.app == "" {
		in, err := o.load(ctx, t, client, func(string) {})
		if err != nil {
			return nil, err
		}
		set = in.Set
	} else {
		var err error
		if set, err = t.renderApp(cmd, o, events, p); err != nil {
			return nil, err
		}
	}
	if len(set.Objects) == 0 {
		return nil, stages.WithHint(content.ErrNoObjects, "what is named with -f, -k or --app holds none")
	}
	paths, err := o.paths()
	if err != nil {
		return nil, err
	}
	if p.Images, err = lockImages(ctx, client, set.Images(paths), p.Images, o.lockImages); err != nil {
		return nil, err
	}
	if p.Manifests, err = set.YAML(); err != nil || o.recipients == "" {
		return set, err
	}
	recipients, err := artifact.Recipients(o.recipients)
	if err != nil {
		return nil, err
	}
	if o.encrypt.value == encryptSecrets {
		p.Manifests, err = artifact.EncryptSecrets(set.Objects, recipients)
	} else {
		p.Encrypted = true
		p.Manifests, err = artifact.Encrypt(p.Manifests, recipients)
	}
	return set, err
}

// lockImages adds those images to known ones that have a digest; with ask, also those of which a registry
// knows it.
func lockImages(ctx context.Context, client *registry.Client, refs []string, known []schema.LockedImage, ask bool) ([]schema.LockedImage, error) {
	var images []schema.LockedImage
	for _, ref := range refs {
		locked := artifact.Locked([]string{ref}, known...)
		if len(locked) == 0 && ask {
			parsed, err := name.ParseReference(ref)
			if err != nil {
				return nil, fmt.Errorf("image %s: %w", ref, err)
			}
			desc, err := client.Head(ctx, parsed)
			if err != nil {
				return nil, fmt.Errorf("image %s: %s", ref, registry.Reason(err))
			}
			locked = []schema.LockedImage{{
				Image: parsed.Context().Digest(desc.Digest.String()).Name(), Annotations: map[string]string{schema.AnnotationImageID: ref},
			}}
		}
		images = append(images, locked...)
	}
	return images, nil
}

// sourceDate is the date that the environment gives to everything that is made.
func (t *tool) sourceDate() (time.Time, error) {
	text := t.getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH %q: expected seconds since 1970", text)
	}
	return time.Unix(seconds, 0), nil
}

// An artifactPushResult is what was pushed.
type artifactPushResult struct {
	// Digest is the reference of the artifact by its digest.
	Digest string   `json:"digest"`
	Tags   []string `json:"tags"`
	// Unchanged tells that the registry had it all.
	Unchanged bool                 `json:"unchanged"`
	Encrypted bool                 `json:"encrypted,omitempty"`
	Signed    bool                 `json:"signed"`
	Objects   []string             `json:"objects"`
	Images    []schema.LockedImage `json:"images,omitempty"`
}

func (r *artifactPushResult) print(w io.Writer) {
	suffix := ""
	if r.Unchanged {
		suffix = " (unchanged)"
	}
	fmt.Fprintf(w, "published digest %s%s\n", r.Digest, suffix)
	if r.Signed {
		fmt.Fprintf(w, "signed %s\n", r.Digest)
	}
}
