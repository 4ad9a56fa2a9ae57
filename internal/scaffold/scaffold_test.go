package scaffold_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"strake.dev/strake/internal/scaffold"
)

var update = flag.Bool("update", false, "write what is got as what is wanted")

// first writes the App of a folder.
func first(t *testing.T, dir string, o scaffold.Options) (*scaffold.Result, error) {
	t.Helper()
	found, err := scaffold.Find(dir)
	if err != nil {
		t.Fatal(err)
	}
	return found.Write(t.Context(), o)
}

// lay writes files to a folder, those below “want” aside.
func lay(t *testing.T, files []txtar.File) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range files {
		file := filepath.Join(dir, filepath.FromSlash(f.Name))
		if strings.HasPrefix(f.Name, "want/") {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Each file in testdata is a folder, and the App that is made of it.
func TestWrite(t *testing.T) {
	t.Setenv("DB_PASSWORD", "of this machine")
	t.Setenv("HOSTVAR", "of this machine")
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := first(t, lay(t, a.Files), scaffold.Options{Name: "shop"})
			if err != nil {
				t.Fatal(err)
			}
			var kept []txtar.File
			want := ""
			for _, f := range a.Files {
				if f.Name == "want/app.yaml" {
					want = string(f.Data)
					continue
				}
				kept = append(kept, f)
			}
			if d := cmp.Diff(want, string(got.File)); d != "" && !*update {
				t.Errorf("(-want +got):\n%s", d)
			}
			for _, line := range got.Assumed {
				if !strings.Contains(string(got.File), "# - "+line+".\n") {
					t.Errorf("it doesn't say: %s", line)
				}
			}
			if *update {
				a.Files = append(kept, txtar.File{Name: "want/app.yaml", Data: got.File})
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// Where images are pushed to can be asked for.
func TestRegistry(t *testing.T) {
	dir := lay(t, txtar.Parse([]byte("-- web/Dockerfile --\n-- a.yaml --\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  image: ghcr.io/org/web:1\n")).Files)
	for registry, want := range map[string]string{"": "newImage: ghcr.io/org/web\n", "r.io/x": "newImage: r.io/x/web\n"} {
		got, err := first(t, dir, scaffold.Options{Name: "shop", Registry: registry})
		if err != nil || !strings.Contains(string(got.File), want) || !strings.Contains(string(got.File), "image: ghcr.io/org/web:1\n") {
			t.Errorf("%q: want %s, got %v, %s", registry, want, err, got.File)
		}
	}
}

// What is wrong with a compose file is told with its place, and nothing is made of it.
func TestInvalidCompose(t *testing.T) {
	for text, want := range map[string]string{
		"services: [":                                         "compose.yaml:1:",
		"services: {}":                                        "compose.yaml: services: expected at least one service",
		"services: {a: {image: x, prots: [1]}}":               "compose.yaml: services.a.prots: no such field",
		"services: {a: {ports: ['x:y'], image: x}}":           "compose.yaml: ",
		"services: {a: {extends: {file: b.yml, service: c}}}": "b.yml",
		"services: {a: {image: x, depends_on: [b]}}":          `service "a" depends on undefined service`,
		"services: {a: {command: x}}":                         `service "a" has neither an image nor a build context`,
		"services: {a: {image: '${'}}":                        "compose.yaml: ",
		"services: &a {b: *a}":                                "compose.yaml",
	} {
		got, err := first(t, lay(t, []txtar.File{{Name: "compose.yaml", Data: []byte(text)}}), scaffold.Options{Name: "shop"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, %v, want %s", text, got, err, want)
		}
		if err != nil && strings.Contains(err.Error(), os.TempDir()) {
			t.Errorf("%s: the error has the whole path: %v", text, err)
		}
	}
}

// Whatever a compose file says, it gives an App or an error.
func FuzzCompose(f *testing.F) {
	for _, seed := range []string{
		"services: {a: {image: x, ports: ['1-3:4-6/udp'], environment: [A, B=$C, 'D=${E:?}'], volumes: ['v:/v']}}\nvolumes: {v: {}}",
		"services: {a: {build: {context: ., args: {X: }}, healthcheck: {test: x, interval: 1s}, user: '1:x', tmpfs: [/t:size=1]}}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		// Other files are for other tests.
		if strings.Contains(text, "extends") || strings.Contains(text, "include") {
			return
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if found, err := scaffold.Find(dir); err == nil {
			_, _ = found.Write(t.Context(), scaffold.Options{Name: "a"})
		}
	})
}
