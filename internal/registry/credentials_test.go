package registry

import (
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

func TestCredentialsMatch(t *testing.T) {
	tests := map[[2]string]bool{
		{"registry.example.com", "registry.example.com/a/b"}:             true,
		{"registry.example.com/a", "registry.example.com/a/b"}:           true,
		{"registry.example.com/a/b", "registry.example.com/a/b"}:         true,
		{"registry.example.com/a/bc", "registry.example.com/a/b"}:        false,
		{"registry.example.com/ab", "registry.example.com/a/b"}:          false,
		{"*.example.com", "registry.example.com/a/b"}:                    true,
		{"*.com", "registry.example.com/a/b"}:                            false,
		{"example.com", "registry.example.com/a/b"}:                      false,
		{"registry.example.com:5000", "registry.example.com/a/b"}:        false,
		{"https://index.docker.io/v1/", "library/busybox"}:               true,
		{"docker.io", "busybox"}:                                         true,
		{"docker.io/library", "busybox"}:                                 true,
		{"registry-1.docker.io", "busybox"}:                              true,
		{"http://registry.example.com/v2/a", "registry.example.com/a/b"}: true,
		{"[", "registry.example.com/a/b"}:                                false,
	}
	for pair, want := range tests {
		if got := (credential{host: addressHost(pair[0])}).matches(repository(t, pair[1])); got != want {
			t.Errorf("%v: got %v", pair, got)
		}
	}
}

func TestSecretKeychain(t *testing.T) {
	secret := func(pairs ...string) map[string][]byte {
		data := map[string][]byte{}
		for i := 0; i < len(pairs); i += 2 {
			data[pairs[i]] = []byte(pairs[i+1])
		}
		return data
	}
	config := secret(keyDockerConfig, `{"auths": {
		"h.example.com": {"username": "wide", "password": "p"},
		"h.example.com/team": {"auth": "dGVhbTpwOnE="},
		"*.example.com": {"username": "any", "identitytoken": "i"}}}`)
	for name, c := range map[string]struct {
		secrets []map[string][]byte
		host    string
		repo    string
		want    authn.AuthConfig
	}{
		"default host":      {[]map[string][]byte{secret("username", "u", "password", "p")}, "h.example.com", "h.example.com/app", authn.AuthConfig{Username: "u", Password: "p"}},
		"not the host":      {[]map[string][]byte{secret("username", "u", "password", "p")}, "h.example.com", "i.example.com/app", authn.AuthConfig{}},
		"hostname":          {[]map[string][]byte{secret("token", "t", "hostname", "https://i.example.com/")}, "h.example.com", "i.example.com/app", authn.AuthConfig{RegistryToken: "t"}},
		"identity token":    {[]map[string][]byte{secret("identity-token", "t", "hostname", "h.example.com")}, "", "h.example.com/app", authn.AuthConfig{IdentityToken: "t"}},
		"docker config":     {[]map[string][]byte{config}, "", "h.example.com/app", authn.AuthConfig{Username: "wide", Password: "p"}},
		"a repository's":    {[]map[string][]byte{config}, "", "h.example.com/team/app", authn.AuthConfig{Username: "team", Password: "p:q"}},
		"any host":          {[]map[string][]byte{config}, "", "x.example.com/app", authn.AuthConfig{Username: "any", IdentityToken: "i"}},
		"joined, specific":  {[]map[string][]byte{secret("username", "u", "hostname", "h.example.com"), config}, "", "h.example.com/team/app", authn.AuthConfig{Username: "team", Password: "p:q"}},
		"joined, first":     {[]map[string][]byte{secret("username", "u", "hostname", "h.example.com"), config}, "", "h.example.com/app", authn.AuthConfig{Username: "u"}},
		"joined, the other": {[]map[string][]byte{config, secret("username", "u", "hostname", "other:5000")}, "", "other:5000/app", authn.AuthConfig{Username: "u"}},
	} {
		t.Run(name, func(t *testing.T) {
			var all Credentials
			for _, data := range c.secrets {
				one, err := SecretKeychain(data, c.host)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, one...)
			}
			auth, err := all.Resolve(repository(t, c.repo))
			if err != nil {
				t.Fatal(err)
			}
			got, err := auth.Authorization()
			if err != nil || *got != c.want {
				t.Errorf("got %+v, %v", got, err)
			}
			if anonymous := c.want == (authn.AuthConfig{}); anonymous != (auth == authn.Anonymous) {
				t.Error("a multi-keychain would not ask the next one")
			}
		})
	}
}

func TestBadSecret(t *testing.T) {
	for name, c := range map[string]struct{ key, value, want string }{
		"no host":        {"password", "s3cret", "has no hostname"},
		"no JSON":        {keyDockerConfig, "s3cret", ".dockerconfigjson: is not the JSON of a docker config"},
		"no base64":      {keyDockerConfig, `{"auths": {"h": {"auth": "s3cret"}}}`, ".dockerconfigjson: auth of h: expected USERNAME:PASSWORD in base64"},
		"base64 without": {keyDockerConfig, `{"auths": {"h": {"auth": "czNjcmV0"}}}`, "expected USERNAME:PASSWORD"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := SecretKeychain(map[string][]byte{c.key: []byte(c.value)}, "")
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error: %v, expected %q", err, c.want)
			}
		})
	}
}

func repository(t testing.TB, text string) name.Repository {
	t.Helper()
	repo, err := name.NewRepository(text)
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

// FuzzDockerConfig reads any Secret, and shows none of it in errors.
func FuzzDockerConfig(f *testing.F) {
	f.Add(`{"auths": {"h": {"auth": "bWU6cHc="}}}`)
	f.Add(`{"auths": {"h": {"auth": "s3cret"}}}`)
	f.Add(`{"auths": "s3cret"}`)
	repo := repository(f, "registry.example.com/a/b")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseDockerConfig([]byte(text))
		if err != nil {
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error shows a secret: %v", err)
			}
			return
		}
		if _, err := c.Resolve(repo); err != nil {
			t.Error(err)
		}
	})
}
