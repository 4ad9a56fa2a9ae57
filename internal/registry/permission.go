package registry

import (
	"context"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// MayPush tells whether images may be pushed to a repository, by beginning an upload and calling it off:
// nothing comes of it.
func (c *Client) MayPush(ctx context.Context, repo name.Repository) error {
	done := make(chan error, 1)
	// The library takes no context here.
	go func() { done <- remote.CheckPushPermission(repo.Tag("strake"), c.keychain, c.shared.transport) }()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-done:
		return err
	}
}
