package registry

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
)

// The keys of a Secret with credentials for registries, as vendir and imgpkg have them.
const (
	keyUsername      = "username"
	keyPassword      = "password"
	keyToken         = "token"
	keyIdentityToken = "identity-token"
	keyHostname      = "hostname"
	keyDockerConfig  = ".dockerconfigjson"
)

// SecretKeys lists the keys that [SecretKeychain] knows; it ignores others.
func SecretKeys() []string {
	return []string{keyUsername, keyPassword, keyToken, keyIdentityToken, keyHostname, keyDockerConfig}
}

// Credentials are what Secrets hold for registries. The credentials of several Secrets are joined with
// append. They resolve to anonymous access where they have none, so that
// authn.NewMultiKeychain(credentials, Keychain()) lets the user's own follow, also for mirrors.
type Credentials []credential

type credential struct {
	// host is a registry, maybe with the beginning of a repository's path; “*” may stand for parts of
	// the host.
	host string
	auth authn.AuthConfig
}

// SecretKeychain reads the data of a Secret: that of the type kubernetes.io/dockerconfigjson, or one
// with username and password, token (for the registry itself) or identity-token, and maybe the
// hostname of the registry that they are for. Without hostname they are for defaultHost; if that is
// empty too, it is an error. No error shows a piece of the Secret's values.
func SecretKeychain(data map[string][]byte, defaultHost string) (Credentials, error) {
	if config, ok := data[keyDockerConfig]; ok {
		c, err := parseDockerConfig(config)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", keyDockerConfig, err)
		}
		return c, nil
	}
	host := defaultHost
	if h := data[keyHostname]; len(h) > 0 {
		host = string(h)
	}
	if host == "" {
		return nil, fmt.Errorf("has no %s that says which registry it is for", keyHostname)
	}
	return Credentials{{host: addressHost(host), auth: authn.AuthConfig{
		Username:      string(data[keyUsername]),
		Password:      string(data[keyPassword]),
		RegistryToken: string(data[keyToken]),
		IdentityToken: string(data[keyIdentityToken]),
	}}}, nil
}

// ConfigKeychain reads a file in the form of docker's config.json. Its helpers aren't run.
func ConfigKeychain(file string) (Credentials, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	c, err := parseDockerConfig(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return c, nil
}

// Resolve implements authn.Keychain. The most specific entry wins: a repository's own credentials
// before those of its registry, those of a host before those of a pattern. Of equally specific ones
// the first wins.
func (c Credentials) Resolve(res authn.Resource) (authn.Authenticator, error) {
	var best *credential
	for i := range c {
		if e := &c[i]; e.matches(res) && (best == nil || e.compare(*best) > 0) {
			best = e
		}
	}
	if best == nil {
		return authn.Anonymous, nil
	}
	return authn.FromConfig(best.auth), nil
}

// compare is positive when c is more specific than other.
func (c credential) compare(other credential) int {
	return cmp.Or(
		cmp.Compare(strings.Count(c.host, "/"), strings.Count(other.host, "/")),
		cmp.Compare(strings.Count(other.host, "*"), strings.Count(c.host, "*")),
		cmp.Compare(len(c.host), len(other.host)),
	)
}

func (c credential) matches(res authn.Resource) bool {
	host, prefix, _ := strings.Cut(c.host, "/")
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

// parseDockerConfig reads the content of a Secret of the type kubernetes.io/dockerconfigjson.
func parseDockerConfig(text []byte) (Credentials, error) {
	var config struct {
		Auths map[string]struct {
			Username, Password, Auth string
			IdentityToken            string `json:"identitytoken"`
		}
	}
	// The decoder's own error could repeat a piece of the secret.
	if err := json.Unmarshal(text, &config); err != nil {
		return nil, errors.New("is not the JSON of a docker config")
	}
	var c Credentials
	for _, host := range slices.Sorted(maps.Keys(config.Auths)) {
		a := config.Auths[host]
		if a.Password == "" && a.Auth != "" {
			plain, err := base64.StdEncoding.DecodeString(a.Auth)
			user, password, ok := strings.Cut(string(plain), ":")
			if err != nil || !ok {
				return nil, fmt.Errorf("auth of %s: expected USERNAME:PASSWORD in base64", host)
			}
			a.Username, a.Password = user, password
		}
		c = append(c, credential{
			host: addressHost(host),
			auth: authn.AuthConfig{Username: a.Username, Password: a.Password, IdentityToken: a.IdentityToken},
		})
	}
	return c, nil
}

// addressHost takes from a registry's address what docker configs add to it.
func addressHost(address string) string {
	address = strings.TrimPrefix(strings.TrimPrefix(address, "https://"), "http://")
	host, rest, _ := strings.Cut(strings.TrimSuffix(address, "/"), "/")
	for _, version := range []string{"v1", "v2"} {
		if rest == version {
			rest = ""
		}
		rest = strings.TrimPrefix(rest, version+"/")
	}
	if host == "registry-1.docker.io" {
		host = "docker.io"
	}
	host = canonicalHost(host)
	if rest == "" {
		return host
	}
	return host + "/" + rest
}
