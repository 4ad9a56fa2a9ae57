// Package registry is how strake talks to container registries: with the user's credentials,
// through mirrors, with retries. Fetching, resolving and pushing all go through a [Client], so that
// they treat a registry alike.
package registry

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	kbld "carvel.dev/kbld/pkg/kbld/registry"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Options configure a [Client]. The zero value talks to registries directly, with the credentials
// of the docker config.
type Options struct {
	// Mirrors maps a registry's host, such as docker.io, to hosts that are asked before it.
	Mirrors map[string][]string
	// CAs are PEM files with certificates that registries are trusted by, besides those of the system
	// (or of SSL_CERT_FILE).
	CAs []string
	// PlainHTTP are hosts, with port if it isn't 80, that are spoken to over plain HTTP. Those on this
	// machine and in private networks are without being listed, if they don't speak HTTPS.
	PlainHTTP []string
	// SkipVerify trusts any certificate of a registry.
	SkipVerify bool
	// AllowHTTP speaks plain HTTP with any registry that can't be reached by HTTPS.
	AllowHTTP bool
	// Transport is used for all requests; nil is one of the client's own, with CAs. Retries and limits
	// are put around it.
	Transport http.RoundTripper
	// FirstWait is how long to wait before a request is sent again, at first; 0 is half a second.
	FirstWait time.Duration
	// Silence is how long a registry may take to answer, or to send more of an answer; 0 is half a
	// minute. Ten times as long is allowed for storing what it was sent.
	Silence time.Duration
	// UserAgent names the program to registries.
	UserAgent string
}

// ParseMirrors reads “docker.io=host:port,quay.io=host2”, the form of STRAKE_REGISTRY_MIRRORS.
func ParseMirrors(text string) (map[string][]string, error) {
	mirrors := map[string][]string{}
	for entry := range strings.SplitSeq(text, ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		host, mirror, ok := strings.Cut(entry, "=")
		if !ok || host == "" || mirror == "" {
			return nil, fmt.Errorf("registry mirror %q: expected HOST=MIRROR, such as docker.io=mirror.example.com", entry)
		}
		host = canonicalHost(host)
		mirrors[host] = append(mirrors[host], mirror)
	}
	return mirrors, nil
}

// canonicalHost gives the Hub the name that the reference library has for it.
func canonicalHost(host string) string {
	if host == "docker.io" {
		return name.DefaultRegistry
	}
	return host
}

// A Client reads from and writes to registries. It is safe for concurrent use. It asks each registry
// only once how to authenticate, and keeps the requests to each host that are under way within a limit,
// a lower one when a registry answers 429.
type Client struct {
	opts    Options
	shared  *shared
	session *session
	// keychain is what the session authenticates with.
	keychain authn.Keychain
	// memo is set by Memo.
	memo *memo
}

// shared is what clients with different credentials have in common.
type shared struct {
	transport http.RoundTripper
	plain     map[string]bool
	// trust is nil without CAs.
	trust *trusting
}

// New returns a client with the credentials of [Keychain]. It connects to nothing.
func New(opts Options) (*Client, error) {
	if opts.FirstWait == 0 {
		opts.FirstWait = firstWait
	}
	if opts.Silence == 0 {
		opts.Silence = defaultSilence
	}
	s, err := newShared(opts)
	if err != nil {
		return nil, err
	}
	c := &Client{opts: opts, shared: s}
	return c.WithKeychain(Keychain())
}

func newShared(opts Options) (*shared, error) {
	plain, err := plainHosts(opts.PlainHTTP)
	if err != nil {
		return nil, err
	}
	s := &shared{plain: plain}
	rt := opts.Transport
	if rt == nil {
		cas, err := readCAs(opts.CAs)
		if err != nil {
			return nil, err
		}
		direct := newTransport(cas)
		direct.TLSClientConfig.InsecureSkipVerify = opts.SkipVerify
		rt = direct
		if cas != nil {
			system, err := x509.SystemCertPool()
			if err != nil {
				return nil, err
			}
			s.trust = &trusting{next: rt, system: system, private: map[string]bool{}}
			rt = s.trust
		}
	}
	rt = checking{patient{rt, opts.Silence}}
	s.transport = &pinging{allowHTTP: opts.AllowHTTP, next: &retrying{next: rt, first: opts.FirstWait, gates: &gates{}}, plain: plain, known: map[string]*ping{}}
	return s, nil
}

// Keychain returns the user's credentials: those of the environment variables KBLD_REGISTRY_HOSTNAME,
// _USERNAME, _PASSWORD and so on, which kbld knows, and then those of the docker config and its
// helpers.
func Keychain() authn.Keychain {
	return authn.NewMultiKeychain(kbld.NewEnvKeychain("KBLD_REGISTRY"), authn.DefaultKeychain)
}

// WithKeychain returns a client like c that authenticates with the credentials of kc.
func (c *Client) WithKeychain(kc authn.Keychain) (*Client, error) {
	// The library would retry by status too, without regard to Retry-After. Its retries of broken
	// connections and of uploads stay.
	common := []remote.Option{
		remote.WithAuthFromKeychain(kc), remote.WithTransport(c.shared.transport), remote.WithRetryStatusCodes(),
		remote.WithRetryBackoff(remote.Backoff{Duration: c.opts.FirstWait, Factor: 3, Jitter: 0.1, Steps: 3}),
	}
	if c.opts.UserAgent != "" {
		common = append(common, remote.WithUserAgent(c.opts.UserAgent))
	}
	return &Client{opts: c.opts, shared: c.shared, session: newSession(common), keychain: kc}, nil
}

// Head asks for the descriptor of a reference: by HEAD, or by GET where a registry doesn't answer
// HEAD with what is needed. Mirrors are asked first.
func (c *Client) Head(ctx context.Context, ref name.Reference) (*v1.Descriptor, error) {
	if c.memo != nil {
		return c.memo.once(ctx, ref, func() (*v1.Descriptor, error) { return c.head(ctx, ref) })
	}
	return c.head(ctx, ref)
}

func (c *Client) head(ctx context.Context, ref name.Reference) (*v1.Descriptor, error) {
	return each(c, ref, func(p *remote.Puller, ref name.Reference) (*v1.Descriptor, error) {
		desc, err := p.Head(ctx, ref)
		if err == nil || !worthAnotherTry(err) {
			return desc, err
		}
		got, err := p.Get(ctx, ref)
		if err != nil {
			return nil, err
		}
		return &got.Descriptor, nil
	})
}

// Get asks for a manifest. Mirrors are asked first.
func (c *Client) Get(ctx context.Context, ref name.Reference) (*remote.Descriptor, error) {
	return each(c, ref, func(p *remote.Puller, ref name.Reference) (*remote.Descriptor, error) { return p.Get(ctx, ref) })
}

// List lists the tags of a repository.
func (c *Client) List(ctx context.Context, repo name.Repository) ([]string, error) {
	return with(c.session, repo, func(p peer) ([]string, error) { return p.List(ctx, repo) })
}

// Push lets a tag point to an image or index, or with a reference by digest only keeps it, and uploads
// what the repository doesn't have of it. One with a subject becomes one of its referrers, also where the
// registry doesn't keep account of these by itself.
func (c *Client) Push(ctx context.Context, ref name.Reference, t remote.Taggable) error {
	_, err := with(c.session, ref.Context(), func(p peer) (struct{}, error) { return struct{}{}, p.Push(ctx, ref, t) })
	return err
}

// Referrers lists the manifests that have a manifest as their subject: as the registry tells
// (https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers), or as the
// tag says that stands in for that. There may be none. Mirrors aren't asked: they needn't have them.
func (c *Client) Referrers(ctx context.Context, subject name.Digest) ([]v1.Descriptor, error) {
	return with(c.session, subject.Context(), func(p peer) ([]v1.Descriptor, error) {
		index, err := remote.Referrers(subject, remote.Reuse(p.Puller), remote.WithContext(ctx))
		if err != nil {
			return nil, err
		}
		manifest, err := index.IndexManifest()
		if err != nil {
			return nil, err
		}
		return manifest.Manifests, nil
	})
}

// worthAnotherTry tells whether GET may succeed where HEAD failed: registries differ in what they
// answer to HEAD, but a plain “not there” or “not allowed” or a dead connection stays what it is.
func worthAnotherTry(err error) bool {
	var te *transport.Error
	if !errors.As(err, &te) {
		return strings.Contains(err.Error(), "header")
	}
	switch te.StatusCode {
	case http.StatusMethodNotAllowed, http.StatusBadRequest, http.StatusNotImplemented:
		return true
	}
	return false
}

// NotFound tells whether an error says that the registry doesn't have the image.
func NotFound(err error) bool {
	var te *transport.Error
	return errors.As(err, &te) && te.StatusCode == http.StatusNotFound
}

// Denied tells whether an error says that credentials are missing or don't suffice.
func Denied(err error) bool {
	var te *transport.Error
	return errors.As(err, &te) && (te.StatusCode == http.StatusUnauthorized || te.StatusCode == http.StatusForbidden)
}

// each asks the mirrors of a reference's registry, then the registry itself. The error is that of
// the last one asked.
func each[T any](c *Client, ref name.Reference, ask func(*remote.Puller, name.Reference) (T, error)) (T, error) {
	one := func(ref name.Reference) (T, error) {
		return unlessDead(c.memo, ref.Context().RegistryStr(), func() (T, error) {
			return with(c.session, ref.Context(), func(p peer) (T, error) { return ask(p.Puller, ref) })
		})
	}
	for _, host := range c.opts.Mirrors[ref.Context().RegistryStr()] {
		mirrored, err := onMirror(ref, host)
		if err != nil {
			var zero T
			return zero, err
		}
		if v, err := one(mirrored); err == nil {
			return v, nil
		}
	}
	return one(ref)
}

func onMirror(ref name.Reference, host string) (name.Reference, error) {
	repo := host + "/" + ref.Context().RepositoryStr()
	sep := ":"
	if _, ok := ref.(name.Digest); ok {
		sep = "@"
	}
	return name.ParseReference(repo + sep + ref.Identifier())
}
