package buildkit

import (
	"context"
	"fmt"

	"github.com/docker/cli/cli/config/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/auth/authprovider"
)

// credentials answers the daemon's questions for credentials from a keychain.
func credentials(kc authn.Keychain) session.Attachable {
	return authprovider.NewDockerAuthProvider(authprovider.DockerAuthProviderConfig{
		AuthConfigProvider: func(ctx context.Context, host string, _ []string, _ authprovider.ExpireCachedAuthCheck) (types.AuthConfig, error) {
			return credentialsFor(ctx, kc, host)
		},
	})
}

func credentialsFor(ctx context.Context, kc authn.Keychain, host string) (types.AuthConfig, error) {
	if host == authprovider.DockerHubRegistryHost {
		host = name.DefaultRegistry
	}
	reg, err := name.NewRegistry(host)
	if err != nil {
		return types.AuthConfig{}, err
	}
	a, err := authn.Resolve(ctx, kc, reg)
	if err != nil {
		return types.AuthConfig{}, fmt.Errorf("credentials of %s can't be read: %w", host, err)
	}
	c, err := authn.Authorization(ctx, a)
	if err != nil {
		return types.AuthConfig{}, fmt.Errorf("credentials of %s can't be read: %w", host, err)
	}
	return types.AuthConfig{
		Username: c.Username, Password: c.Password,
		IdentityToken: c.IdentityToken, RegistryToken: c.RegistryToken,
	}, nil
}
