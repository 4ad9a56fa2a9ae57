package source

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"

	"strake.dev/strake/internal/registry"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// clientFor returns the client for a repository: the general one, or one with a Secret's credentials.
// Credentials without a host are for the repository's registry; registries that the Secret has none
// for, such as mirrors, get the user's own.
func clientFor(ctx context.Context, job *stages.Job, general *registry.Client, ref *schema.LocalRef, repo name.Repository) (*registry.Client, error) {
	if ref == nil {
		return general, nil
	}
	data, err := secret(ctx, job, ref, registry.SecretKeys()...)
	if err != nil {
		return nil, err
	}
	credentials, err := registry.SecretKeychain(data, repo.RegistryStr())
	if err != nil {
		return nil, fmt.Errorf("secretRef: Secret %s: %w", ref.Name, err)
	}
	return general.Prefer(credentials)
}
