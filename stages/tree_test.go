package stages_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strake.dev/strake/stages"
)

func openTree(t *testing.T, files map[string]string) *stages.Tree {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	tree, err := stages.OpenTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tree.Close() })
	return tree
}

func TestPathStaysInTheTree(t *testing.T) {
	tree := openTree(t, map[string]string{
		"a/b": "x", "in": "-> a/b", "out": "-> ../../secret", "abs": "-> /etc/passwd", "dir": "-> a",
	})
	for name, want := range map[string]string{
		"a/b": "", "in": "", "dir/b": "", ".": "", "a/../a/b": "",
		"../tree/a/b": "leads out of the App's folder", "/etc/passwd": "expected a path relative to the App's folder",
		"out": "leads out of the App's folder", "abs": "leads out of the App's folder", "none": "no such file or folder",
	} {
		_, err := tree.Path(name)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
}

func TestCheckLinks(t *testing.T) {
	for name, tt := range map[string]struct {
		files map[string]string
		ok    bool
	}{
		"inner":             {map[string]string{"a/b": "x", "l": "-> a/b", "a/up": "-> ../a/b"}, true},
		"dangling inside":   {map[string]string{"l": "-> nowhere"}, true},
		"absolute":          {map[string]string{"l": "-> /etc/passwd"}, false},
		"up and out":        {map[string]string{"a/l": "-> ../../x"}, false},
		"through a link":    {map[string]string{"a/b/c": "x", "d": "-> a/b", "l": "-> d/../../../x"}, false},
		"chain of two":      {map[string]string{"d/up": "-> ..", "l": "-> d/up/../../etc"}, false},
		"deep and back out": {map[string]string{"a/b/c/l": "-> ../../../../x"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := openTree(t, tt.files).CheckLinks()
			if (err == nil) != tt.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestDigest(t *testing.T) {
	base := map[string]string{"a/b": "x", "c": "y", "l": "-> c"}
	digest := func(files map[string]string, paths ...string) string {
		d, err := openTree(t, files).Digest(t.Context(), paths...)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	first, second := digest(base), digest(base)
	if first != second {
		t.Error("equal trees have different digests")
	}
	for name, other := range map[string]map[string]string{
		"content": {"a/b": "z", "c": "y", "l": "-> c"},
		"name":    {"a/d": "x", "c": "y", "l": "-> c"},
		"link":    {"a/b": "x", "c": "y", "l": "-> a/b"},
		"kind":    {"a/b": "x", "c": "y", "l": "c"},
		"more":    {"a/b": "x", "c": "y", "l": "-> c", "m": ""},
	} {
		if digest(base) == digest(other) {
			t.Errorf("%s changed, but not the digest", name)
		}
		if name != "content" && name != "name" && digest(base, "a") != digest(other, "a") {
			t.Errorf("%s changed elsewhere, and the digest of a with it", name)
		}
	}
	tree := openTree(t, base)
	before, _ := tree.Digest(t.Context())
	if err := os.Chmod(filepath.Join(tree.Dir(), "c"), 0o755); err != nil {
		t.Fatal(err)
	}
	if after, _ := tree.Digest(t.Context()); before == after {
		t.Error("the executable bit doesn't count")
	}
	if _, err := tree.Digest(t.Context(), "nowhere"); err == nil || err.Error() != "nowhere: no such file or folder" {
		t.Errorf("missing path: %v", err)
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"a", "../a", "a/../../b", "/a", "./..", "a//b", "..a", `a\..\..`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		clean, err := stages.Clean(name)
		if err == nil && !filepath.IsLocal(filepath.FromSlash(clean)) {
			t.Errorf("%q became %q, which is not local", name, clean)
		}
	})
}
