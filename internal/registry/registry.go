// Package registry is how strake talks to container registries: with the user's credentials,
// through mirrors, with retries. Fetching, resolving and pushing all go through a [Client], so that
// they treat a registry alike.
package registry

import (
	"context"
	"encoding/json"
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
	// Transport is used for all requests; nil is [remote.DefaultTransport]. Retries are put around it.
	Transport http.RoundTripper
	// FirstWait is how long to wait before a request is sent again, at first; 0 is half a second.
	FirstWait time.Duration
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

// A Client reads from and writes to registries. It is safe for concurrent use, and asks each
// registry only once how to authenticate.
type Client struct {
	opts    Options
	session *session
	// memo is set by Memo.
	memo *memo
}

// New returns a client with the credentials of [Keychain].
func New(opts Options) (*Client, error) {
	c := &Client{opts: opts}
	return c.WithKeychain(Keychain())
}

// Keychain returns the user's credentials: those of the environment variables KBLD_REGISTRY_HOSTNAME,
// _USERNAME, _PASSWORD and so on, which kbld knows, and then those of the docker config and its
// helpers.
func Keychain() authn.Keychain {
	return authn.NewMultiKeychain(kbld.NewEnvKeychain("KBLD_REGISTRY"), authn.DefaultKeychain)
}

// WithKeychain returns a client like c that authenticates with the credentials of kc.
func (c *Client) WithKeychain(kc authn.Keychain) (*Client, error) {
	rt := c.opts.Transport
	if rt == nil {
		rt = remote.DefaultTransport
	}
	first := c.opts.FirstWait
	if first == 0 {
		first = firstWait
	}
	// The library would retry by status too, without regard to Retry-After. Its retries of broken
	// connections and of uploads stay.
	common := []remote.Option{
		remote.WithAuthFromKeychain(kc), remote.WithTransport(retrying{next: rt, first: first}), remote.WithRetryStatusCodes(),
		remote.WithRetryBackoff(remote.Backoff{Duration: first, Factor: 3, Jitter: 0.1, Steps: 3}),
	}
	if c.opts.UserAgent != "" {
		common = append(common, remote.WithUserAgent(c.opts.UserAgent))
	}
	s, err := newSession(common)
	if err != nil {
		return nil, err
	}
	return &Client{opts: c.opts, session: s}, nil
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
	return each(c, ref, func(ref name.Reference) (*v1.Descriptor, error) {
		desc, err := c.session.puller().Head(ctx, ref)
		if err == nil || !worthAnotherTry(err) {
			return desc, err
		}
		got, err := c.session.puller().Get(ctx, ref)
		if err != nil {
			return nil, err
		}
		// The library takes any body for a manifest, also that of a proxy's login page.
		if !json.Valid(got.Manifest) {
			return nil, fmt.Errorf("what %s answers for %s is no manifest", ref.Context().RegistryStr(), ref.Name())
		}
		return &got.Descriptor, nil
	})
}

// Get asks for a manifest. Mirrors are asked first.
func (c *Client) Get(ctx context.Context, ref name.Reference) (*remote.Descriptor, error) {
	return each(c, ref, func(ref name.Reference) (*remote.Descriptor, error) { return c.session.puller().Get(ctx, ref) })
}

// List lists the tags of a repository.
func (c *Client) List(ctx context.Context, repo name.Repository) ([]string, error) {
	tags, err := c.session.puller().List(ctx, repo)
	return tags, c.session.after(err)
}

// Tag lets a tag point to an image or index.
func (c *Client) Tag(ctx context.Context, tag name.Tag, t remote.Taggable) error {
	return c.session.after(c.session.pusher().Push(ctx, tag, t))
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
func each[T any](c *Client, ref name.Reference, ask func(name.Reference) (T, error)) (T, error) {
	for _, host := range c.opts.Mirrors[ref.Context().RegistryStr()] {
		mirrored, err := onMirror(ref, host)
		if err != nil {
			var zero T
			return zero, err
		}
		v, err := ask(mirrored)
		if err = c.session.after(err); err == nil {
			return v, nil
		}
	}
	v, err := ask(ref)
	return v, c.session.after(err)
}

func onMirror(ref name.Reference, host string) (name.Reference, error) {
	repo := host + "/" + ref.Context().RepositoryStr()
	sep := ":"
	if _, ok := ref.(name.Digest); ok {
		sep = "@"
	}
	return name.ParseReference(repo + sep + ref.Identifier())
}
