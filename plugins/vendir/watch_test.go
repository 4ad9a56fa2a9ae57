package vendir_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/internal/registry"
	"strake.dev/strake/plugins/vendir"
	"strake.dev/strake/plugins/vendir/source"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// What is on this machine is watched, what may move is asked for, and what is pinned is left alone.
func TestWatches(t *testing.T) {
	dir := t.TempDir()
	err := os.WriteFile(filepath.Join(dir, "vendir.yml"), []byte(`apiVersion: vendir.k14s.io/v1alpha1
kind: Config
directories:
- path: vendor
  contents:
  - {path: local, directory: {path: ../beside}}
  - {path: repo, git: {url: "https://git.example.com/x", ref: origin/main}}
`), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	client, err := registry.New(registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const sha = "0123456789abcdef0123456789abcdef01234567"
	digest := "sha256:" + strings.Repeat("a", 64)
	for entry, want := range map[string][]string{
		"directory: {path: src}":      {filepath.Join(dir, "src")},
		"directory: {path: /abs/src}": {"/abs/src"},
		"inline: {paths: {a: b}}":     nil,
		"git: {url: 'https://me:pass@git.example.com/x', ref: origin/main}":                 {"? git https://git.example.com/x origin/main"},
		"git: {url: 'https://git.example.com/x', ref: " + sha + "}":                         nil,
		"image: {url: 'registry.example.com/team/x:v1'}":                                    {"? image registry.example.com/team/x:v1"},
		"image: {url: 'registry.example.com/team/x@" + digest + "'}":                        nil,
		"imgpkgBundle: {image: 'registry.example.com/team/x'}":                              {"? imgpkgBundle registry.example.com/team/x"},
		"http: {url: 'https://example.com/x.tgz'}":                                          {"? http https://example.com/x.tgz"},
		"http: {url: 'https://example.com/x.tgz', sha256: " + strings.Repeat("a", 64) + "}": nil,
		"helmChart: {name: web, version: 1.2.3, repository: {url: 'https://example.com'}}":  nil,
		"helmChart: {name: web, version: '>1', repository: {url: 'https://example.com'}}":   {"? helmChart web >1"},
		"vendir: {path: vendir.yml}": {
			filepath.Join(dir, "vendir.yml"), filepath.Join(filepath.Dir(dir), "beside"), "? git https://git.example.com/x origin/main",
		},
		"vendir: {path: missing.yml}": {filepath.Join(dir, "missing.yml")},
	} {
		nodes, err := schema.Parse("app.yaml", []byte(entry))
		if err != nil {
			t.Fatal(err)
		}
		step, err := vendir.Plugin(source.Deps{Registry: client}).New(nodes[0])
		if err != nil {
			t.Fatalf("%s: %v", entry, err)
		}
		watched, err := step.(stages.Watcher).Watches(&stages.Job{Dir: dir, Folder: "src", Lock: &stages.Lock{}, Hide: func([]byte) {}})
		if err != nil {
			t.Errorf("%s: %v", entry, err)
		}
		got := watched.Paths
		for _, r := range watched.References {
			got = append(got, "? "+r)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", entry, diff)
		}
	}
}
