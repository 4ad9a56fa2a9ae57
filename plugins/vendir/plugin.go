// Package vendir is the fetch stage: it gets one source of an App, of any kind that kapp-controller's
// App has, or a folder of this machine, and says what the source resolved to in the form of vendir's
// lock.
//
// The configuration, the selection of versions and the lock are vendir's. The fetchers are not:
// vendir's write wherever an archive tells them to, lose executable bits, need a helm binary, and
// can't be cancelled. Where the results differ on purpose:
//
//   - An archive entry or a link that leads out of the source, and a device, pipe, socket or setuid
//     file, is an error. vendir writes some of them and drops others quietly.
//   - The layers of an image lie one on top of the other. With vendir the lowest one wins.
//   - Executable bits and inner symbolic links are kept.
//   - No source leaves a .git behind: its content depends on when and how it was fetched, and a
//     program that runs git in the folder would take orders from it.
//   - git fetches one commit without history where the server allows it; so the tags of the lock are
//     those that sit on the commit itself, as with vendir's depth: 1.
//   - Of a branch and a tag with one name, origin/NAME means the branch.
//   - Under --locked a source that no longer fits its entry is a [stages.LockError].
package vendir

import (
	"context"
	"fmt"
	"net/http"

	"strake.dev/strake/internal/registry"
	"strake.dev/strake/plugins/vendir/download"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// Deps are what the plugin needs of the program.
type Deps struct {
	// Registry is how images, bundles and charts of OCI registries are read. Sources with a secretRef
	// use a client of the same options with the secret's credentials. Required.
	Registry *registry.Client
	// Transport is how http sources and Helm repositories are read; nil is a transport of its own
	// with the proxies of the environment.
	Transport http.RoundTripper
	// UserAgent names the program to web servers.
	UserAgent string
}

// Plugin returns the plugin.
func Plugin(deps Deps) stages.Plugin {
	p := stages.Plugin{
		Stage:   stages.Fetch,
		Name:    "vendir",
		Doc:     "gets a source: inline content, an image, an imgpkg bundle, a file or archive over HTTP, a git commit, a Helm chart, or a local folder",
		Version: "2",
		Keys:    kinds(),
		Whole:   true,
	}
	web := download.New(deps.Transport, deps.UserAgent)
	return stages.Define(p, func(c Config) (stages.Step, error) {
		return &step{folder: c.Path, source: newSource(c, deps.Registry, web)}, nil
	})
}

// A source is one kind of fetch entry. A locked entry is given only if it has to be used, and then is
// of the source's kind and fits it.
type source interface {
	// kind is the key of the source.
	kind() string
	// subPath is the folder of the content to take, or empty.
	subPath() string
	// check tells before anything runs why fetch would fail.
	check(ctx context.Context, job *stages.Job) error
	// stale says why a lock entry of the source's kind isn't for this source, or "".
	stale(locked schema.LockedSource) string
	// key names the content of the source at this moment, or is empty if that can't be told.
	key(ctx context.Context, job *stages.Job, locked *schema.LockedSource) (string, error)
	// fetch writes the content to a, and returns what it resolved to.
	fetch(ctx context.Context, job *stages.Job, locked *schema.LockedSource, a *area) (schema.LockedSource, error)
}

func newSource(c Config, reg *registry.Client, web *download.Client) source {
	switch {
	case c.Inline != nil:
		return &inlineSource{Inline: *c.Inline}
	case c.Image != nil:
		return newImage(*c.Image, reg)
	case c.ImgpkgBundle != nil:
		return newBundle(*c.ImgpkgBundle, reg)
	case c.HTTP != nil:
		return &httpSource{HTTP: *c.HTTP, web: web}
	case c.Git != nil:
		return &gitSource{Git: *c.Git}
	case c.HelmChart != nil:
		return &helmSource{HelmChart: *c.HelmChart, registry: reg, web: web}
	default:
		return &directorySource{Directory: *c.Directory}
	}
}

type step struct {
	folder string
	source source
}

var (
	_ stages.Placer  = (*step)(nil)
	_ stages.Checker = (*step)(nil)
	_ stages.Keyer   = (*step)(nil)
)

// Folder is where in the App's folder the configuration wants the source.
func (s *step) Folder() string { return s.folder }

// Check finds missing tools, folders and secrets, and a lock that doesn't fit.
func (s *step) Check(ctx context.Context, job *stages.Job) error {
	if _, err := s.locked(job); err != nil {
		return err
	}
	return s.source.check(ctx, job)
}

// Key names what the source holds now; with an enforced lock no remote is asked.
func (s *step) Key(ctx context.Context, job *stages.Job) (string, error) {
	locked, err := s.locked(job)
	if err != nil {
		return "", err
	}
	key, err := s.source.key(ctx, job, locked)
	if err != nil || key == "" {
		return "", err
	}
	return s.source.kind() + " " + key, nil
}

// Run fetches the source into job.Out.
func (s *step) Run(ctx context.Context, job *stages.Job) (stages.Result, error) {
	if err := ctx.Err(); err != nil {
		return stages.Result{}, err
	}
	locked, err := s.locked(job)
	if err != nil {
		return stages.Result{}, err
	}
	a, err := newArea(job.Out)
	if err != nil {
		return stages.Result{}, err
	}
	defer a.close()
	resolved, err := s.source.fetch(ctx, job, locked, a)
	if err != nil {
		return stages.Result{}, err
	}
	if err := a.finish(ctx, s.source.subPath()); err != nil {
		return stages.Result{}, err
	}
	resolved.Path = job.Folder
	return stages.Result{Source: &resolved, SourceDate: a.date, Origin: originOf(s.source, resolved)}, nil
}

// locked is the lock's entry if it has to be used.
func (s *step) locked(job *stages.Job) (*schema.LockedSource, error) {
	if job.Lock == nil || !job.Lock.Enforces(job.Folder) {
		return nil, nil
	}
	entry, _, err := job.Lock.Source(job.Folder)
	if err != nil {
		return nil, err
	}
	if kind := kindOf(entry); kind != s.source.kind() {
		return nil, stale(job, fmt.Sprintf("is of the kind %s, but the lock file has one of the kind %s", s.source.kind(), kind))
	}
	if reason := s.source.stale(entry); reason != "" {
		return nil, stale(job, reason)
	}
	return &entry, nil
}
