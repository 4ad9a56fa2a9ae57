package registry

import (
	"context"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// Anonymous tells whether requests for a repository have no credentials, as far as the client knows; where
// that can't be told, they may have some.
func (c *Client) Anonymous(ctx context.Context, repo name.Repository) bool {
	auth, err := authn.Resolve(ctx, c.keychain, repo)
	return err == nil && auth == authn.Anonymous
}

// With returns a client like c, with the same credentials, whose options edit has changed.
func (c *Client) With(edit func(*Options)) (*Client, error) {
	opts := c.opts
	edit(&opts)
	n, err := New(opts)
	if err != nil {
		return nil, err
	}
	return n.WithKeychain(c.keychain)
}

// Prefer returns a client like c that looks for credentials in kc before those that it has.
func (c *Client) Prefer(kc authn.Keychain) (*Client, error) {
	return c.WithKeychain(authn.NewMultiKeychain(kc, c.keychain))
}
