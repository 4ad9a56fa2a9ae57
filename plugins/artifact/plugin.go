package artifact

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"

	oci "strake.dev/strake/internal/artifact"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/stages"
)

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
	tags, err := s.config.tags(job.Repositories)
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
