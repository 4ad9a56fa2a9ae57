package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// source writes a module without dependencies.
func source(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range map[string]string{
		"go.mod":       "module example.test/pause\n\ngo 1.26\n",
		"main.go":      "package main\n\nfunc main() {}\n",
		"main_test.go": "package main\n",
		"notes.txt":    "not part of it",
	} {
		path := filepath.Join(root, "pause", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestBuildOnceForAllCheckouts(t *testing.T) {
	cache := t.TempDir()
	builds := 0
	var dirs []string
	for range 2 {
		b := &Builder{Source: source(t), Cache: cache, Building: func(Module) { builds++ }}
		dir, err := b.Build(t.Context(), Pause)
		if err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, dir)
	}
	if builds != 1 || dirs[0] != dirs[1] {
		t.Errorf("%d builds in %v, want one", builds, dirs)
	}
	if _, err := os.Stat(filepath.Join(dirs[0], "pause")); err != nil {
		t.Error(err)
	}
}

func TestKeyFollowsInputs(t *testing.T) {
	b := &Builder{Source: source(t)}
	key := func(m Module) string {
		t.Helper()
		k, err := b.key(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	before := key(Pause)
	tagged := Pause
	tagged.Tags = "x"
	if key(tagged) == before {
		t.Error("same key for other flags")
	}
	write := func(name string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(b.Source, "pause", name), []byte("package main\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("other_test.go")
	if key(Pause) != before {
		t.Error("a test changed the key")
	}
	write("other.go")
	if key(Pause) == before {
		t.Error("same key for other sources")
	}
}

func TestFailedBuildLeavesNothing(t *testing.T) {
	b := &Builder{Source: source(t), Cache: t.TempDir(), Building: func(Module) {}}
	if err := os.WriteFile(filepath.Join(b.Source, "pause", "main.go"), []byte("package main\n\nfunc main() { undefined() }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := b.Build(t.Context(), Pause)
	if err == nil || !strings.Contains(err.Error(), "undefined") {
		t.Fatalf("got %v, want the compiler's message", err)
	}
	left, err := filepath.Glob(filepath.Join(b.Cache, "bin", "*"))
	if err != nil || len(left) != 1 {
		t.Errorf("cache has %v, want the lock alone", left)
	}
}

// The programs tell the versions that their go.mod names.
func TestVersions(t *testing.T) {
	root, err := FindSource("")
	if err != nil {
		t.Fatal(err)
	}
	for module, requirement := range map[string]string{
		BuildKit.Name:   "github.com/moby/buildkit " + BuildKit.Version,
		Containerd.Name: "github.com/containerd/containerd/v2 " + Containerd.Version,
		Kube.Name:       "k8s.io/kubernetes " + Kube.Version,
	} {
		data, err := os.ReadFile(filepath.Join(root, module, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data), requirement) {
			t.Errorf("%s/go.mod does not require %s", module, requirement)
		}
	}
}

func TestFindSource(t *testing.T) {
	if _, err := FindSource(t.TempDir()); err == nil {
		t.Error("a folder without components was taken")
	}
	found, err := FindSource("")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(found, "pause", "main.go")); err != nil {
		t.Error(err)
	}
}
