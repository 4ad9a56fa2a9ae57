package buildkit

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/docker/cli/cli/config/types"
	"github.com/google/go-containerregistry/pkg/authn"

	"strake.dev/strake/internal/registry"
)

func TestCredentials(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	t.Setenv("KBLD_REGISTRY_HOSTNAME", "env.example.com")
	t.Setenv("KBLD_REGISTRY_USERNAME", "env-user")
	t.Setenv("KBLD_REGISTRY_PASSWORD", "env-password")
	auth := func(pair string) string { return base64.StdEncoding.EncodeToString([]byte(pair)) }
	config := `{"auths": {
		"https://index.docker.io/v1/": {"auth": "` + auth("hub:one") + `"},
		"reg.example.com:5000": {"auth": "` + auth("me:two") + `"},
		"token.example.com": {"identitytoken": "three"}}}`
	must(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600))
	for host, want := range map[string]types.AuthConfig{
		"registry-1.docker.io":  {Username: "hub", Password: "one"},
		"reg.example.com:5000":  {Username: "me", Password: "two"},
		"token.example.com":     {IdentityToken: "three"},
		"env.example.com":       {Username: "env-user", Password: "env-password"},
		"unknown.example.com":   {},
		"reg.example.com:15000": {},
	} {
		got, err := credentialsFor(t.Context(), registry.Keychain(), host)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", host, got, err)
		}
	}
}

type brokenKeychain struct{}

func (brokenKeychain) Resolve(authn.Resource) (authn.Authenticator, error) {
	return nil, errors.New("helper isn't there")
}

func TestBrokenCredentialHelper(t *testing.T) {
	_, err := credentialsFor(t.Context(), brokenKeychain{}, "reg.example.com")
	if err == nil || err.Error() != "credentials of reg.example.com can't be read: helper isn't there" {
		t.Errorf("error: %v", err)
	}
}
