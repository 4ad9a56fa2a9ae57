package buildkit

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tonistiigi/fsutil"

	"strake.dev/strake/internal/buildkit/buildkittest"
)

func load(t *testing.T, files map[string]string, s Source) (*Build, error) {
	t.Helper()
	dir := t.TempDir()
	buildkittest.Write(t, dir, files)
	s.Root = buildkittest.Root(t, dir)
	if s.Context == "" {
		s.Context = "."
	}
	return Load(t.Context(), s, "0")
}

func names(t *testing.T, f fsutil.FS, target string) []string {
	t.Helper()
	var found []string
	err := f.Walk(t.Context(), target, func(name string, _ fs.DirEntry, err error) error {
		found = append(found, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestDockerignore(t *testing.T) {
	files := func(ignore string) map[string]string {
		return map[string]string{
			"Dockerfile": "", "a/b/c": "", "a/b/d.md": "", "a/x.md": "", "readme.md": "", "z": "", ".git/config": "",
			".dockerignore": ignore,
		}
	}
	for ignore, want := range map[string][]string{
		"":                     {".dockerignore", ".git", ".git/config", "Dockerfile", "a", "a/b", "a/b/c", "a/b/d.md", "a/x.md", "readme.md", "z"},
		"*.md":                 {".dockerignore", ".git", ".git/config", "Dockerfile", "a", "a/b", "a/b/c", "a/b/d.md", "a/x.md", "z"},
		"**/*.md\n**/.git":     {".dockerignore", "Dockerfile", "a", "a/b", "a/b/c", "z"},
		"**/*.md\n!readme.md":  {".dockerignore", ".git", ".git/config", "Dockerfile", "a", "a/b", "a/b/c", "readme.md", "z"},
		"*\n!a/b/c":            {"a", "a/b", "a/b/c"},
		"# comment\n\n/a\n z ": {".dockerignore", ".git", ".git/config", "Dockerfile", "readme.md"},
		"a/*\n!a/b":            {".dockerignore", ".git", ".git/config", "Dockerfile", "a", "a/b", "a/b/c", "a/b/d.md", "readme.md", "z"},
		".":                    {".dockerignore", ".git", ".git/config", "Dockerfile", "a", "a/b", "a/b/c", "a/b/d.md", "a/x.md", "readme.md", "z"},
	} {
		b, err := load(t, files(ignore), Source{})
		if err != nil {
			t.Fatalf("%q: %v", ignore, err)
		}
		if diff := cmp.Diff(want, names(t, b.context, "")); diff != "" {
			t.Errorf("%q (-want +got):\n%s", ignore, diff)
		}
	}
}

func TestDockerfileIgnoreGoesFirst(t *testing.T) {
	b, err := load(t, map[string]string{
		"src/a": "", "src/b": "", "src/.dockerignore": "a\n", "other/Dockerfile.go": "FROM scratch\n", "other/Dockerfile.go.dockerignore": "b\n",
	}, Source{Context: "src", Dockerfile: "other/Dockerfile.go"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{".dockerignore", "a"}, names(t, b.context, "")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"Dockerfile.go", "Dockerfile.go.dockerignore"}, names(t, b.dockerfileTree(), "")); diff != "" {
		t.Error(diff)
	}
}

// What the daemon is sent has to be walked exactly as the library walks a folder.
func TestWalkIsTheLibrarys(t *testing.T) {
	dir := t.TempDir()
	buildkittest.Write(t, dir, map[string]string{"a/b/c": "1", "a-b/c": "2", "a.b": "3", "a/b.c": "4", "z/y/x": "5", "Dockerfile": ""})
	if err := os.Symlink("../a.b", filepath.Join(dir, "z", "link")); err != nil {
		t.Fatal(err)
	}
	b, err := Load(t.Context(), Source{Root: buildkittest.Root(t, dir), Context: "."}, "0")
	if err != nil {
		t.Fatal(err)
	}
	library, err := fsutil.NewFS(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"", "a", "a/b", "z/link", "a.b"} {
		if diff := cmp.Diff(names(t, library, target), names(t, b.context, target)); diff != "" {
			t.Errorf("walk of %q (-library +ours):\n%s", target, diff)
		}
	}
	for _, skip := range []string{"a", "a/b", "a/b/c", "a.b", "z/link"} {
		walk := func(f fsutil.FS) (found []string) {
			err := f.Walk(t.Context(), "", func(name string, _ fs.DirEntry, _ error) error {
				found = append(found, name)
				if name == skip {
					return fs.SkipDir
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			return found
		}
		if diff := cmp.Diff(walk(library), walk(b.context)); diff != "" {
			t.Errorf("SkipDir at %q (-library +ours):\n%s", skip, diff)
		}
	}
	follow := []string{"z/link", "nope", "a/*"}
	want, err := fsutil.FollowLinks(library, follow)
	if err != nil {
		t.Fatal(err)
	}
	got, err := fsutil.FollowLinks(b.context, follow)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("links followed (-library +ours):\n%s", diff)
	}
	f, err := b.context.Open("a/b/c")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if data, err := io.ReadAll(f); err != nil || string(data) != "1" {
		t.Errorf("content: %q, %v", data, err)
	}
	for _, name := range []string{"nope", "a", "z/link", "../x"} {
		if _, err := b.context.Open(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("opening %s: %v", name, err)
		}
	}
}

func TestWhatTheDigestDependsOn(t *testing.T) {
	files := map[string]string{"Dockerfile": "FROM scratch\n", "a": "one", "run.sh": "#!/bin/sh\n", "d/e": "x"}
	first, err := load(t, files, Source{})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(t *testing.T, dir string)
		source Source
		want   []string
	}{
		"nothing": {func(*testing.T, string) {}, Source{}, nil},
		"times":   {func(t *testing.T, dir string) { must(t, os.Chtimes(dir+"/a", zeroTime, zeroTime)) }, Source{}, nil},
		"umask":   {func(t *testing.T, dir string) { must(t, os.Chmod(dir+"/a", 0o600), os.Chmod(dir+"/d", 0o700)) }, Source{}, nil},
		"hard link": {func(t *testing.T, dir string) {
			must(t, os.Remove(dir+"/a"), os.WriteFile(dir+"/../a", []byte("one"), 0o644), os.Link(dir+"/../a", dir+"/a"))
		}, Source{}, nil},
		"pipe":       {func(t *testing.T, dir string) { must(t, syscall.Mkfifo(dir+"/pipe", 0o644)) }, Source{}, nil},
		"executable": {func(t *testing.T, dir string) { must(t, os.Chmod(dir+"/a", 0o755)) }, Source{}, []string{PartContext}},
		"content":    {func(t *testing.T, dir string) { must(t, os.WriteFile(dir+"/a", []byte("two"), 0o644)) }, Source{}, []string{PartContext}},
		"name":       {func(t *testing.T, dir string) { must(t, os.Rename(dir+"/a", dir+"/b")) }, Source{}, []string{PartContext}},
		"folder":     {func(t *testing.T, dir string) { must(t, os.Mkdir(dir+"/new", 0o755)) }, Source{}, []string{PartContext}},
		"link":       {func(t *testing.T, dir string) { must(t, os.Symlink("a", dir+"/l")) }, Source{}, []string{PartContext}},
		"Dockerfile": {func(t *testing.T, dir string) {
			must(t, os.WriteFile(dir+"/Dockerfile", []byte("FROM scratch"), 0o644))
		}, Source{}, []string{PartContext, PartDockerfile}},
		"target":    {func(*testing.T, string) {}, Source{Options: Options{Target: "x"}}, []string{PartTarget}},
		"args":      {func(*testing.T, string) {}, Source{Options: Options{Args: map[string]string{"A": "b"}}}, []string{PartArgs}},
		"labels":    {func(*testing.T, string) {}, Source{Options: Options{Labels: map[string]string{"A": "b"}}}, []string{PartArgs}},
		"platforms": {func(*testing.T, string) {}, Source{Options: Options{Platforms: []string{"linux/arm64"}}}, []string{PartPlatforms}},
		"cache": {func(*testing.T, string) {}, Source{Options: Options{
			NoCache: true, Pull: true, NoCacheFilter: []string{"a"},
			CacheFrom: []Cache{{Type: "inline"}}, CacheTo: []Cache{{Type: "registry", Attrs: map[string]string{"ref": "x"}}},
		}}, nil},
		"no network":      {func(*testing.T, string) {}, Source{Options: Options{Network: "default"}}, nil},
		"network":         {func(*testing.T, string) {}, Source{Options: Options{Network: "none"}}, []string{PartOptions}},
		"annotation":      {func(*testing.T, string) {}, Source{Options: Options{Annotations: map[string]string{"a": "b"}}}, []string{PartOptions}},
		"secret":          {func(*testing.T, string) {}, Source{Options: Options{Secrets: map[string]Secret{"a": nil}}}, []string{PartOptions}},
		"ssh":             {func(*testing.T, string) {}, Source{Options: Options{SSH: map[string][]string{"default": nil}}}, []string{PartOptions}},
		"provenance":      {func(*testing.T, string) {}, Source{Options: Options{Provenance: "min"}}, []string{PartOptions}},
		"SBOM":            {func(*testing.T, string) {}, Source{Options: Options{SBOM: "true"}}, []string{PartOptions}},
		"entitlement":     {func(*testing.T, string) {}, Source{Options: Options{Entitlements: []string{"security.insecure"}}}, []string{PartOptions}},
		"hosts":           {func(*testing.T, string) {}, Source{Options: Options{Hosts: []string{"a=1.2.3.4"}}}, []string{PartOptions}},
		"shm":             {func(*testing.T, string) {}, Source{Options: Options{ShmSize: 1 << 20}}, []string{PartOptions}},
		"ulimits":         {func(*testing.T, string) {}, Source{Options: Options{Ulimits: []string{"nofile=10"}}}, []string{PartOptions}},
		"cgroup":          {func(*testing.T, string) {}, Source{Options: Options{CgroupParent: "a"}}, []string{PartOptions}},
		"context of URL":  {func(*testing.T, string) {}, Source{Options: Options{Contexts: map[string]Context{"a": {URL: "docker-image://b"}}}}, []string{PartContexts}},
		"context, folder": {func(*testing.T, string) {}, Source{Options: Options{Contexts: map[string]Context{"a": {Folder: "d"}}}}, []string{PartContexts}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "deep", "er")
			buildkittest.Write(t, dir, files)
			c.change(t, dir)
			c.source.Root, c.source.Context = buildkittest.Root(t, dir), "."
			b, err := Load(t.Context(), c.source, "0")
			if err != nil {
				t.Fatal(err)
			}
			if got := b.Parts().Changed(first.Parts()); !slices.Equal(got, c.want) {
				t.Errorf("changed: %v, expected %v", got, c.want)
			}
			if same := b.Parts().Tag() == first.Parts().Tag(); same != (c.want == nil) {
				t.Errorf("tags %s and %s", b.Parts().Tag(), first.Parts().Tag())
			}
		})
	}
}

func TestNothingOutsideIsRead(t *testing.T) {
	outside := t.TempDir()
	buildkittest.Write(t, outside, map[string]string{"Dockerfile": "FROM scratch\n", "secret": "s"})
	for name, c := range map[string]struct {
		link, to string
		source   Source
	}{
		"context":    {"src", outside, Source{Context: "src"}},
		"Dockerfile": {"Dockerfile", outside + "/Dockerfile", Source{Context: "."}},
		"ignore":     {"Dockerfile.dockerignore", outside + "/secret", Source{Context: "."}},
		"dots":       {"x", ".", Source{Context: "..", Dockerfile: "Dockerfile"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if name != "Dockerfile" {
				buildkittest.Write(t, dir, map[string]string{"Dockerfile": "FROM scratch\n"})
			}
			must(t, os.Symlink(c.to, filepath.Join(dir, c.link)))
			c.source.Root = buildkittest.Root(t, dir)
			_, err := Load(t.Context(), c.source, "0")
			if err == nil || !contains(err.Error(), "leads out of the App's folder") {
				t.Errorf("error: %v", err)
			}
		})
	}
	// A link in the context is sent as a link; where it leads only matters in the build.
	dir := t.TempDir()
	buildkittest.Write(t, dir, map[string]string{"Dockerfile": "FROM scratch\n"})
	must(t, os.Symlink(outside+"/secret", filepath.Join(dir, "link")))
	b, err := Load(t.Context(), Source{Root: buildkittest.Root(t, dir), Context: "."}, "0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.context.Open("link"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the link's target can be read: %v", err)
	}
}

func TestLoadEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	buildkittest.Write(t, dir, map[string]string{"Dockerfile": "", "a": "b"})
	if _, err := Load(ctx, Source{Root: buildkittest.Root(t, dir), Context: "."}, "0"); !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v", err)
	}
}
