package vendir_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/internal/registry"
)

// A real registry gives what was pushed to it, directly and as a mirror.
func TestSandboxRegistry(t *testing.T) {
	host := os.Getenv("STRAKE_SANDBOX_REGISTRY")
	if host == "" {
		t.Skip("no sandbox: STRAKE_SANDBOX_REGISTRY is not set")
	}
	repo := host + "/strake-test/vendir"
	digest := push(t, repo, imageOf(t, nil, tgz(t, map[string]string{"a.yml": "1", "run": "#!", "link": "-> a.yml"})), "v1.0.0")
	client, err := registry.New(registry.Options{Mirrors: map[string][]string{"registry.invalid": {host}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{host, "registry.invalid"} {
		url := from + "/strake-test/vendir"
		step, err := bindWith(client, "image: {url: \""+url+":v1.0.0\"}")
		if err != nil {
			t.Fatal(err)
		}
		f := fixtureOf(t, "", step, nil)
		if key := f.key(); key != "image v1.0.0@"+digest {
			t.Errorf("the key is %q", key)
		}
		if entry := f.mustRun(); entry.Image.URL != url+"@"+digest || entry.Image.Tag != "v1.0.0" {
			t.Errorf("got %+v", entry.Image)
		}
		if d := cmp.Diff(map[string]string{"a.yml": "1", "run": "x #!", "link": "-> a.yml"}, f.tree()); d != "" {
			t.Error(d)
		}
	}
	missing := newFixture(t, "", "image: {url: "+repo+":none}", nil)
	if _, err := missing.run(); err == nil || !strings.Contains(err.Error(), "MANIFEST_UNKNOWN") {
		t.Errorf("got %v", err)
	}
}
