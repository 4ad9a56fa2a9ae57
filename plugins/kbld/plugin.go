package kbld

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"

	kbldconfig "carvel.dev/kbld/pkg/kbld/config"
	"github.com/google/go-containerregistry/pkg/authn"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/stages"
)

// version changes whenever equal input could give other manifests.
const version = "2"

// Deps is what the plugin works with.
type Deps struct {
	// Registry asks and tags.
	Registry *registry.Client
	// Builder builds sources.
	Builder Builder
	// Record, if not nil, is told what each step that has run made of its references.
	Record *Record
	// ToolCommand makes the command of a process that calls [ServeTool]. Sources for pack, ko and bazel
	// need it.
	ToolCommand func(context.Context) (*exec.Cmd, error)
	// Builds is how many builds run side by side; 0 is 4.
	Builds int
	// Rebuild has images built even if nothing has changed.
	Rebuild bool
	// BuildCache, if not empty, is a repository for the build steps of images whose sources name no cache.
	BuildCache string
	// UserAgent names the program to web servers.
	UserAgent string
}

// A Builder builds images; it is a [buildkit.Client].
type Builder interface {
	// Check tells whether what the builder was set up with is well-formed. It asks no daemon.
	Check() error
	// Permits tells whether a build may ask for what the options say.
	Permits(o buildkit.Options) error
	// Daemons returns the daemons to build with, given what the App says. It may ask the cluster.
	Daemons(ctx context.Context, app buildkit.Choice, events stages.Observer) ([]buildkit.Daemon, error)
	// Epoch is the SOURCE_DATE_EPOCH that the environment asks for, or empty.
	Epoch() (string, error)
	// Build builds and pushes, and tells what it made.
	Build(ctx context.Context, b *buildkit.Build, out buildkit.Output, events stages.Observer) (buildkit.Result, error)
}

// Plugin returns the build plugin “kbld”.
func Plugin(deps Deps) stages.Plugin {
	if deps.Builds <= 0 {
		deps.Builds = 4
	}
	return stages.Define(stages.Plugin{
		Stage:   stages.Build,
		Name:    "kbld",
		Doc:     "Builds images from source with BuildKit, resolves the others to digests, and puts both into the manifests.",
		Version: version,
		Parts:   map[string]reflect.Type{"config.sources[].buildkit": reflect.TypeFor[sourceOptions]()},
	}, func(c Config) (stages.Step, error) { return &step{config: c, deps: deps}, nil })
}

type step struct {
	config Config
	deps   Deps
}

// Run builds, resolves and rewrites. It has no key: whether the images of unchanged sources are still
// there only the registry knows, and asking it is all that Run does then.
func (s *step) Run(ctx context.Context, job *stages.Job) (stages.Result, error) {
	result, _, err := s.work(ctx, job, false)
	return result, err
}

// Watches tells that tags of images, and what images are built from, may move; not with an enforced lock,
// which pins them.
func (s *step) Watches(job *stages.Job) (stages.Watched, error) {
	if job.Lock.Enforce {
		return stages.Watched{}, nil
	}
	return stages.Watched{References: []string{"the images"}}, nil
}

// Plan does what Run does, but builds, pushes and tags nothing. Images that would be built have their
// future tag in the manifests instead of a digest, and are not among the result's images.
func (s *step) Plan(ctx context.Context, job *stages.Job) (stages.Result, []stages.Change, error) {
	return s.work(ctx, job, true)
}

// Check warns of fields that kbld would ignore, and makes sure that what builds the App's sources is set
// up well, or installed, and that secrets of this machine are there. It doesn't ask the daemon: there
// may be nothing to build.
func (s *step) Check(_ context.Context, job *stages.Job) error {
	if s.config.own == nil {
		return nil
	}
	for _, text := range s.config.own.ignored {
		stages.Warn(job.Events, text)
	}
	if slices.ContainsFunc(s.config.own.sources, func(s source) bool { return s.tool == "" }) {
		if err := s.deps.Builder.Check(); err != nil {
			return err
		}
	}
	var found []error
	for i := range s.config.own.sources {
		source := &s.config.own.sources[i]
		found = append(found, named(cmp.Or(source.config.Image, source.config.ImageRepo), checkTool(source)), source.check(job))
		if err := s.deps.Builder.Permits(source.options); err != nil {
			found = append(found, source.named(err))
		}
	}
	return errors.Join(found...)
}

// cacheFolder is where the plugin keeps what only makes it faster; empty for nowhere.
func cacheFolder(job *stages.Job) string {
	if job.Cache == "" {
		return ""
	}
	return filepath.Join(job.Cache, "kbld")
}

// client returns the registry's client, with the credentials of the step's Secrets if there are any:
// those go before the user's own.
func (s *step) client(ctx context.Context, job *stages.Job) (*registry.Client, authn.Keychain, error) {
	if len(s.config.SecretRefs) == 0 {
		return s.deps.Registry, nil, nil
	}
	var all registry.Credentials
	for i, ref := range s.config.SecretRefs {
		field := fmt.Sprintf("secretRefs[%d]", i)
		data, err := job.Objects.Secret(ctx, ref.Name)
		if err != nil {
			return nil, nil, missing(field, ref.Name, err)
		}
		credentials, err := registry.SecretKeychain(data, "")
		if err != nil {
			return nil, nil, fmt.Errorf("%s: Secret %s: %w", field, ref.Name, err)
		}
		all = append(all, credentials...)
	}
	keychain := authn.NewMultiKeychain(all, registry.Keychain())
	client, err := s.deps.Registry.WithKeychain(keychain)
	return client, keychain, err
}

func (s *step) work(ctx context.Context, job *stages.Job, plan bool) (stages.Result, []stages.Change, error) {
	if err := ctx.Err(); err != nil {
		return stages.Result{}, nil, err
	}
	in, err := s.config.read(job)
	if err != nil {
		return stages.Result{}, nil, err
	}
	for _, text := range in.ignored {
		stages.Warn(job.Events, text)
	}
	client, keychain, err := s.client(ctx, job)
	if err != nil {
		return stages.Result{}, nil, err
	}
	memo := client.Memo()
	r := &run{
		input: in, job: job, deps: s.deps, registry: memo, keychain: keychain,
		lookup: &buildkit.Lookup{Registry: memo, Dir: cacheFolder(job), Temp: job.Temp, UserAgent: s.deps.UserAgent},
		daemon: s.config.Buildkit, plan: plan, images: map[string]image{}, origins: inApp,
	}
	if err := r.settle(ctx); err != nil {
		if ctx.Err() != nil {
			return stages.Result{}, nil, ctx.Err()
		}
		return stages.Result{}, nil, err
	}
	manifests, err := in.manifests(r.images)
	if err != nil {
		return stages.Result{}, nil, err
	}
	if s.deps.Record != nil && !plan {
		s.deps.Record.add(in.conf, r.images)
	}
	return stages.Result{Manifests: manifests, Images: r.locked()}, r.changes, nil
}

// inApp are the origins of an image that is built from a source of an App. The path counts from the
// App's folder: kbld's own, absolute one differs on every machine.
func inApp(s *source) ([]kbldconfig.Origin, error) {
	return []kbldconfig.Origin{{Local: &kbldconfig.OriginLocal{Path: s.path}}}, nil
}
