package vendir

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"strake.dev/strake/internal/registry"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// clientFor returns the client for a repository: the general one, or one with a Secret's credentials.
func clientFor(ctx context.Context, job *stages.Job, general *registry.Client, ref *schema.LocalRef, repo name.Repository) (*registry.Client, error) {
	if ref == nil {
		return general, nil
	}
	k, err := keychainFrom(ctx, job, ref, repo)
	if err != nil {
		return nil, err
	}
	return general.WithKeychain(k)
}

// A keychain holds the credentials of a Secret. Registries that it has none for, such as mirrors, get
// the user's own.
type keychain struct{ entries []keychainEntry }

type keychainEntry struct {
	// host is a registry, maybe with the beginning of a repository's path; “*” may stand for parts of
	// the host.
	host string
	auth authn.AuthConfig
}

// Resolve implements authn.Keychain. The most specific entry wins.
func (k keychain) Resolve(res authn.Resource) (authn.Authenticator, error) {
	for _, e := range k.entries {
		if e.matches(res) {
			return authn.FromConfig(e.auth), nil
		}
	}
	return authn.DefaultKeychain.Resolve(res)
}

func (e keychainEntry) matches(res authn.Resource) bool {
	host, prefix, _ := strings.Cut(e.host, "/")
	if !matchesHost(host, res.RegistryStr()) {
		return false
	}
	_, repository, _ := strings.Cut(res.String(), "/")
	return prefix == "" || repository == prefix || strings.HasPrefix(repository, prefix+"/")
}

func matchesHost(pattern, host string) bool {
	want, have := strings.Split(pattern, "."), strings.Split(host, ".")
	if len(want) != len(have) {
		return false
	}
	for i := range want {
		if ok, err := path.Match(want[i], have[i]); err != nil || !ok {
			return false
		}
	}
	return true
}

// keychainFrom reads a Secret as vendir does. Credentials without a host are for the registry of repo.
func keychainFrom(ctx context.Context, job *stages.Job, ref *schema.LocalRef, repo name.Repository) (keychain, error) {
	data, err := secret(ctx, job, ref, keyUsername, keyPassword, keyToken, keyIdentityToken, keyHostname, keyDockerConfig)
	if err != nil {
		return keychain{}, err
	}
	if config, ok := data[keyDockerConfig]; ok {
		k, err := parseDockerConfig(config)
		if err != nil {
			return keychain{}, fmt.Errorf("secretRef: Secret %s: %s: %w", ref.Name, keyDockerConfig, err)
		}
		return k, nil
	}
	host := repo.RegistryStr()
	if h := data[keyHostname]; len(h) > 0 {
		host = canonicalHost(string(h))
	}
	return keychain{entries: []keychainEntry{{host: host, auth: authn.AuthConfig{
		Username:      string(data[keyUsername]),
		Password:      string(data[keyPassword]),
		RegistryToken: string(data[keyToken]),
		IdentityToken: string(data[keyIdentityToken]),
	}}}}, nil
}

// parseDockerConfig reads the content of a Secret of the type kubernetes.io/dockerconfigjson.
func parseDockerConfig(text []byte) (keychain, error) {
	var config struct {
		Auths map[string]struct {
			Username, Password, Auth string
			IdentityToken            string `json:"identitytoken"`
		}
	}
	// The decoder's own error could repeat a piece of the secret.
	if err := json.Unmarshal(text, &config); err != nil {
		return keychain{}, fmt.Errorf("is not the JSON of a docker config")
	}
	var k keychain
	for _, host := range slices.Sorted(maps.Keys(config.Auths)) {
		a := config.Auths[host]
		if a.Password == "" && a.Auth != "" {
			plain, err := base64.StdEncoding.DecodeString(a.Auth)
			user, password, ok := strings.Cut(string(plain), ":")
			if err != nil || !ok {
				return keychain{}, fmt.Errorf("auth of %s: expected USERNAME:PASSWORD in base64", host)
			}
			a.Username, a.Password = user, password
		}
		k.entries = append(k.entries, keychainEntry{
			host: canonicalHost(host),
			auth: authn.AuthConfig{Username: a.Username, Password: a.Password, IdentityToken: a.IdentityToken},
		})
	}
	// Longer ones first: a repository's own credentials before its registry's.
	slices.SortStableFunc(k.entries, func(a, b keychainEntry) int { return len(b.host) - len(a.host) })
	return k, nil
}

// canonicalHost takes from a registry's address what docker configs add to it.
func canonicalHost(host string) string {
	host = strings.TrimPrefix(strings.TrimPrefix(host, "https://"), "http://")
	host = strings.TrimSuffix(host, "/")
	h, rest, _ := strings.Cut(host, "/")
	for _, version := range []string{"v1", "v2"} {
		if rest == version {
			rest = ""
		}
		rest = strings.TrimPrefix(rest, version+"/")
	}
	if h == "docker.io" || h == "registry-1.docker.io" {
		h = name.DefaultRegistry
	}
	if rest == "" {
		return h
	}
	return h + "/" + rest
}
