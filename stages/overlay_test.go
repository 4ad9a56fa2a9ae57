package stages_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"strake.dev/strake/stages"
)

// overlaid is a tree with an encrypted file that is replaced by a plain one.
func overlaid(t *testing.T) *stages.Tree {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"c/a.sops.yml": "sealed", "c/b.yml": "b", "top.yml": "top"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := stages.OpenTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tree.Close() })
	tree.Overlay = &stages.Overlay{
		Files:  map[string][]byte{"c/a.yml": []byte("plain"), "c/b.yml": []byte("other b")},
		Hidden: map[string]bool{"c/a.sops.yml": true},
	}
	return tree
}

func TestOverlay(t *testing.T) {
	tree := overlaid(t)
	if err := fstest.TestFS(tree.FS(), "c/a.yml", "c/b.yml", "top.yml"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"c/a.yml": "plain", "c/b.yml": "other b", "top.yml": "top", "c/a.sops.yml": ""} {
		got, err := fs.ReadFile(tree.FS(), name)
		if string(got) != want || (err == nil) != (want != "") {
			t.Errorf("%s: expected %q, found %q, %v", name, want, got, err)
		}
	}
	// Nothing of it is in the folder itself.
	if _, err := tree.Root().Stat("c/a.yml"); err == nil {
		t.Error("the plain file is on the disk")
	}
}

func TestOverlayInDigests(t *testing.T) {
	digest := func(change func(*stages.Overlay), paths ...string) string {
		tree := overlaid(t)
		change(tree.Overlay)
		d, err := tree.Digest(t.Context(), paths...)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	same := func(*stages.Overlay) {}
	other := func(o *stages.Overlay) { o.Files["c/a.yml"] = []byte("changed") }
	for _, path := range []string{".", "c", "c/a.yml"} {
		first := digest(same, path)
		if digest(same, path) != first {
			t.Errorf("%s: expected one digest for one content", path)
		}
		if digest(other, path) == first {
			t.Errorf("%s: the digest doesn't follow the overlay", path)
		}
	}
	if digest(same, "top.yml") != digest(other, "top.yml") {
		t.Error("the digest of a file follows another one")
	}
}

func TestOverlayOnTop(t *testing.T) {
	var none *stages.Overlay
	first := &stages.Overlay{Files: map[string][]byte{"a": []byte("1"), "b": []byte("1")}, Hidden: map[string]bool{"x": true}}
	second := &stages.Overlay{Files: map[string][]byte{"x": []byte("2")}, Hidden: map[string]bool{"b": true}}
	both := none.With(first).With(second).With(nil)
	var seen []string
	for name := range both.Files {
		seen = append(seen, name)
	}
	if len(seen) != 2 || string(both.Files["x"]) != "2" || string(both.Files["a"]) != "1" || !both.Hidden["b"] || both.Hidden["x"] {
		t.Errorf("expected a and x to be seen, and b hidden, found %s and %v", strings.Join(seen, ", "), both.Hidden)
	}
	if len(first.Files) != 2 || len(first.Hidden) != 1 {
		t.Error("the lower overlay was changed")
	}
}
