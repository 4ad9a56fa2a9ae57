// Package source fetches one source of an App or of a vendir configuration, of any kind that vendir has,
// and says what it resolved to in the form of vendir's lock.
//
// The configuration, the selection of versions and the lock are vendir's. The fetchers are not: vendir's
// write wherever an archive tells them to, lose executable bits, need a helm binary, download the same
// again and again, and can't be cancelled. What was downloaded is kept in a [cache.Store]: git and hg
// repositories as mirrors, all else by its digest. A remote is asked what it has now, in one request, and
// not at all for what is pinned and needs no permission.
package source

import (
	"context"
	"net/http"

	"strake.dev/strake/internal/cache"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/plugins/vendir/download"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// Deps are what sources need of the program.
type Deps struct {
	// Registry is how images, bundles and charts of OCI registries are read. Sources with a secretRef
	// use a client of the same options with the secret's credentials. Required.
	Registry *registry.Client
	// Transport is how http sources, releases and Helm repositories are read; nil is a transport of its own
	// with the proxies of the environment.
	Transport http.RoundTripper
	// UserAgent names the program to web servers.
	UserAgent string
	// Cache keeps what was downloaded; nil keeps nothing.
	Cache *cache.Store
	// GitHubToken is for releases without a secretRef; it may be empty.
	GitHubToken string
	// GitHubAPI is the address of GitHub's API; empty is the public one.
	GitHubAPI string
	// KeepGit leaves .git folders in the content, as vendir does.
	KeepGit bool
	// AnyLinks takes symbolic links that lead out of a local folder.
	AnyLinks bool
}

// A Source is one kind of content. A locked entry is given only if it has to be used, and then is of the
// source's kind and fits it.
type Source interface {
	// Kind is the key of the source.
	Kind() string
	// Check tells before anything runs why Fetch would fail.
	Check(ctx context.Context, job *stages.Job) error
	// Stale says why a lock entry of the source's kind isn't for this source, or "".
	Stale(locked schema.LockedSource) string
	// Key names the content of the source at this moment, or is empty if that can't be told.
	Key(ctx context.Context, job *stages.Job, locked *schema.LockedSource) (string, error)
	// Fetch writes the content to a, and returns what it resolved to.
	Fetch(ctx context.Context, job *stages.Job, locked *schema.LockedSource, a *Area) (schema.LockedSource, error)
	// Origin tells for records of deploys where the content is from, without credentials.
	Origin(resolved schema.LockedSource) stages.Origin
}

// A Fetcher makes sources. Those of one Fetcher ask a remote each thing once.
type Fetcher struct {
	deps Deps
	web  *download.Client
	memo memo
}

// NewFetcher returns a Fetcher.
func NewFetcher(deps Deps) *Fetcher {
	return &Fetcher{deps: deps, web: download.New(deps.Transport, deps.UserAgent)}
}

// Source returns the source that a configuration names.
func (f *Fetcher) Source(c Config) Source {
	switch {
	case c.Inline != nil:
		return &inlineSource{Inline: *c.Inline}
	case c.Image != nil:
		return newImage(*c.Image, f)
	case c.ImgpkgBundle != nil:
		return newBundle(*c.ImgpkgBundle, f)
	case c.HTTP != nil:
		return &httpSource{HTTP: *c.HTTP, f: f}
	case c.Git != nil:
		return &gitSource{Git: *c.Git, f: f, root: c.Root()}
	case c.Hg != nil:
		return &hgSource{Hg: *c.Hg, f: f}
	case c.GithubRelease != nil:
		return &releaseSource{GithubRelease: *c.GithubRelease, f: f}
	case c.Manual != nil:
		return &manualSource{directorySource{Directory: Directory{Path: c.Path}, f: f}}
	case c.HelmChart != nil:
		return &helmSource{HelmChart: *c.HelmChart, f: f}
	default:
		return &directorySource{Directory: *c.Directory, f: f}
	}
}

// Trim keeps the cache within its limit. It is called once what was to be fetched is there.
func (f *Fetcher) Trim(ctx context.Context) error { return f.deps.Cache.Trim(ctx) }
