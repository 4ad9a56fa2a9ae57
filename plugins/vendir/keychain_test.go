package vendir

import (
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
)

func TestKeychainMatches(t *testing.T) {
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
		{"http://registry.example.com/v2/a", "registry.example.com/a/b"}: true,
		{"[", "registry.example.com/a/b"}:                                false,
	}
	for pair, want := range tests {
		repo, err := name.NewRepository(pair[1])
		if err != nil {
			t.Fatal(err)
		}
		if got := (keychainEntry{host: canonicalHost(pair[0])}).matches(repo); got != want {
			t.Errorf("%v: got %v", pair, got)
		}
	}
}

// FuzzDockerConfig reads any Secret, and shows none of it in errors.
func FuzzDockerConfig(f *testing.F) {
	f.Add(`{"auths": {"h": {"auth": "bWU6cHc="}}}`)
	f.Add(`{"auths": {"h": {"auth": "s3cret"}}}`)
	f.Add(`{"auths": "s3cret"}`)
	repo, err := name.NewRepository("registry.example.com/a/b")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		k, err := parseDockerConfig([]byte(text))
		if err != nil {
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error shows a secret: %v", err)
			}
			return
		}
		for _, e := range k.entries {
			_ = e.matches(repo)
		}
	})
}
