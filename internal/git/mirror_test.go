package git_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/internal/cache"
	"strake.dev/strake/internal/git"
	"strake.dev/strake/internal/git/gittest"
	"strake.dev/strake/internal/thorough"
)

// counted serves the repositories below a new folder, and counts what they are asked for.
func counted(t testing.TB) (root, url string, c *gittest.Counter) {
	t.Helper()
	root = t.TempDir()
	c = &gittest.Counter{Handler: gittest.Handler(t, root)}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	return root, server.URL, c
}

// through checks out what a reference means, out of a cache, as a plugin does.
func through(t testing.TB, store *cache.Store, url, ref string, o git.Options) (git.Info, string, error) {
	t.Helper()
	r, err := git.Open(url, git.Auth{}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.Cache = store
	c := git.Commit{SHA: ref}
	if !git.IsSHA(ref) {
		refs, err := r.Refs(t.Context())
		if err != nil {
			return git.Info{}, "", err
		}
		c, _ = refs.Resolve(ref)
	}
	dir := t.TempDir()
	info, err := r.Checkout(t.Context(), dir, c, o)
	return info, dir, err
}

// tree lists the files below a folder, with their contents.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			if e != nil && e.Name() == ".git" {
				return fs.SkipDir
			}
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if e.Type() == fs.ModeSymlink {
			files[name], err = os.Readlink(path)
			return err
		}
		text, err := os.ReadFile(path)
		files[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func gitIn(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("git %q in %s: %v\n%s", args, dir, err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestFetchesOnce(t *testing.T) {
	root, url, count := counted(t)
	repo := gittest.New(t, root, "repo")
	for i := range 50 {
		repo.Write(fmt.Sprintf("d%d/f%d", i%5, i), strings.Repeat(fmt.Sprint(i), 1000), 0o644)
	}
	repo.Write("a", "1", 0o644)
	first := repo.Commit("first")
	repo.Git("tag", "v1")
	store, address := cache.Open(t.TempDir(), 0), url+"/repo/.git"
	size := 0
	step := func(what, ref string, o git.Options, want gittest.Count) map[string]string {
		t.Helper()
		_, dir, err := through(t, store, address, ref, o)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		var got gittest.Count
		if got, size = count.Take(); got != want {
			t.Errorf("%s: asked %+v, want %+v", what, got, want)
		}
		return tree(t, dir)
	}
	resolve := gittest.Count{Lists: 1}
	step("first", "main", git.Options{}, gittest.Count{Lists: 1 + 1, Fetches: 1}) // git lists the tag to fetch
	whole := size
	step("unchanged", "main", git.Options{}, resolve)
	step("pinned", first, git.Options{}, gittest.Count{})
	step("by its tag", "v1", git.Options{}, resolve)
	step("sub-folder of what is there", "main", git.Options{SubPath: "d1"}, resolve)
	repo.Write("a", "2", 0o644)
	repo.Commit("second")
	if got := step("new commit", "main", git.Options{}, gittest.Count{Lists: 1, Fetches: 1})["a"]; got != "2" {
		t.Errorf("a holds %q", got)
	}
	if size > whole/2 {
		t.Errorf("the new commit took %d bytes, the first one %d", size, whole)
	}
	if got := step("back", first, git.Options{}, gittest.Count{})["a"]; got != "1" {
		t.Errorf("a holds %q", got)
	}
	// A tag that comes later costs a request, but no object of the commit.
	repo.Git("tag", "--annotate", "v2", "--message", "v2")
	info, _, err := through(t, store, address, "main", git.Options{})
	if err != nil || !slices.Equal(info.Tags, []string{"v2"}) {
		t.Errorf("tags %q, %v", info.Tags, err)
	}
	if _, size = count.Take(); size > 3000 {
		t.Errorf("the tag took %d bytes", size)
	}
	step("history", "main", git.Options{KeepGit: true}, gittest.Count{Lists: 2, Fetches: 1})
	step("history again", "main", git.Options{KeepGit: true}, resolve)
	step("history of a commit in it", first, git.Options{KeepGit: true}, gittest.Count{})
	// The next commit comes once for all kinds of checkouts.
	repo.Write("a", "3", 0o644)
	repo.Commit("third")
	step("next commit", "main", git.Options{}, gittest.Count{Lists: 2, Fetches: 1})
	if size > whole/2 {
		t.Errorf("the next commit took %d bytes, the first one %d", size, whole)
	}
	step("its history", "main", git.Options{KeepGit: true}, resolve)
	step("its sub-folder", "main", git.Options{SubPath: "d1"}, resolve)
}

// A repository that is kept works on its own, and is what vendir leaves.
func TestKeepGit(t *testing.T) {
	root, url, _ := counted(t)
	inner := gittest.New(t, root, "inner")
	inner.Write("i", "1", 0o644)
	inner.Commit("inner")
	repo := gittest.New(t, root, "repo")
	repo.Write("a", "1", 0o644)
	first := repo.Commit("first")
	repo.Git("tag", "--annotate", "v1.0", "--message", "v1.0")
	repo.Git("submodule", "add", "--quiet", "--name", "in/side", url+"/inner/.git", "sub/one")
	repo.Write("a", "2", 0o644)
	second := repo.Commit("second\n\nbody")
	for _, test := range []struct {
		ref, sha, tag string
		depth, count  int
	}{
		{"origin/main", second, "v1.0-1-g" + second[:7], 0, 2},
		{"v1.0", first, "v1.0", 0, 1},
		{second, second, "v1.0-1-g" + second[:7], 0, 2},
		{"origin/main~1", first, "v1.0", 0, 1},
		{"main", second, "", 1, 1},
		{"main", second, "", 2, 2},
		{"v1.0", first, "v1.0", 1, 1},
	} {
		for _, cached := range []bool{true, false} {
			if !cached && test.ref != "v1.0" && thorough.Times(1, 2) == 1 {
				continue
			}
			t.Run(fmt.Sprintf("%s depth %d cache %v", strings.ReplaceAll(test.ref, "/", "_"), test.depth, cached), func(t *testing.T) {
				var store *cache.Store
				place := t.TempDir()
				if cached {
					store = cache.Open(place, 0)
				}
				info, made, err := through(t, store, url+"/repo/.git", test.ref, git.Options{KeepGit: true, Depth: test.depth})
				if err != nil {
					t.Fatal(err)
				}
				if info.SHA != test.sha || strings.Join(info.Tags, " ") != test.tag {
					t.Errorf("got %+v", info)
				}
				if err := os.RemoveAll(place); err != nil {
					t.Fatal(err)
				}
				dir := filepath.Join(t.TempDir(), "moved")
				if err := os.Rename(made, dir); err != nil {
					t.Fatal(err)
				}
				if out := gitIn(t, dir, "status", "--porcelain"); out != "" {
					t.Errorf("status: %s", out)
				}
				if out := gitIn(t, dir, "submodule", "status", "--recursive"); strings.HasPrefix(out, "+") || strings.HasPrefix(out, "-") {
					t.Errorf("submodule status: %s", out)
				}
				gitIn(t, dir, "fsck", "--full", "--strict")
				if out := gitIn(t, dir, "rev-list", "--count", "HEAD"); out != fmt.Sprint(test.count) {
					t.Errorf("%s commits", out)
				}
				if out := gitIn(t, dir, "remote", "get-url", "origin"); out != url+"/repo/.git" {
					t.Errorf("origin is %s", out)
				}
				if out := gitIn(t, dir, "rev-parse", "HEAD", "--abbrev-ref", "HEAD"); out != test.sha+"\nHEAD" {
					t.Errorf("HEAD is %s", out)
				}
				if test.ref == "origin/main" {
					if out := gitIn(t, dir, "for-each-ref", "--format=%(refname)"); out != "refs/remotes/origin/main\nrefs/tags/v1.0" {
						t.Errorf("references: %s", out)
					}
				}
				if test.sha == second {
					if out := gitIn(t, filepath.Join(dir, "sub/one"), "status", "--porcelain"); out != "" {
						t.Errorf("submodule: %s", out)
					}
					if text, err := os.ReadFile(filepath.Join(dir, "sub/one/i")); err != nil || string(text) != "1" {
						t.Errorf("submodule: %s, %v", text, err)
					}
				}
				gitIn(t, dir, "fetch", "--quiet", "origin")
				if _, err := os.Stat(filepath.Join(dir, ".git/objects/info/alternates")); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("alternates: %v", err)
				}
			})
		}
	}
}

// The history of a commit has the depth that was asked for, whatever was fetched in between.
func TestDepths(t *testing.T) {
	root, url, count := counted(t)
	repo := gittest.New(t, root, "repo")
	var shas []string
	store := cache.Open(t.TempDir(), 0)
	check := func(sha string, depth, want int) {
		t.Helper()
		_, dir, err := through(t, store, url+"/repo/.git", sha, git.Options{KeepGit: true, Depth: depth})
		if err != nil {
			t.Fatal(err)
		}
		if out := gitIn(t, dir, "rev-list", "--count", "HEAD"); out != fmt.Sprint(want) {
			t.Errorf("commit %d, depth %d: %s commits", slices.Index(shas, sha), depth, out)
		}
		gitIn(t, dir, "fsck", "--full")
	}
	for i := range 6 {
		repo.Write("a", fmt.Sprint(i), 0o644)
		shas = append(shas, repo.Commit(fmt.Sprint(i)))
		check(shas[i], 3, min(3, i+1))
	}
	check(shas[5], 1, 1)
	check(shas[5], 5, 5)
	check(shas[5], 1, 1)
	count.Take()
	for i := range 6 {
		check(shas[i], 3, min(3, i+1))
	}
	if n, _ := count.Take(); n != (gittest.Count{}) {
		t.Errorf("asked %+v", n)
	}
}

func TestSubPath(t *testing.T) {
	root, url, count := counted(t)
	inner := gittest.New(t, root, "inner")
	inner.Write("x/i", "inner", 0o644)
	inner.Write("y/i", "other", 0o644)
	inner.Commit("inner")
	repo := gittest.New(t, root, "repo")
	repo.Git("config", "uploadpack.allowFilter", "true")
	inner.Git("config", "uploadpack.allowFilter", "true")
	repo.Write(".gitattributes", "*.crlf text eol=crlf\n", 0o644)
	repo.Write("apps/.gitattributes", "b.crlf -text\n", 0o644)
	repo.Write("apps/web/a.crlf", "1\n2\n", 0o644)
	repo.Write("apps/web/b.crlf", "1\n", 0o644)
	repo.Write("apps/web/run", "#!", 0o755)
	repo.Write("apps/[x]/f", "brackets", 0o644)
	repo.Write("apps/other", "o", 0o644)
	repo.Write("big", strings.Repeat("0123456789abcdef", 100000), 0o644)
	repo.Git("submodule", "add", "--quiet", url+"/inner/.git", "apps/mod")
	repo.Commit("c")
	want := map[string]map[string]string{
		"apps/web":     {"apps/web/a.crlf": "1\r\n2\r\n", "apps/web/b.crlf": "1\n", "apps/web/run": "#!"},
		"./apps//web/": {"apps/web/a.crlf": "1\r\n2\r\n", "apps/web/b.crlf": "1\n", "apps/web/run": "#!"},
		"apps/[x]":     {"apps/[x]/f": "brackets"},
		"apps/mod":     {"apps/mod/x/i": "inner", "apps/mod/y/i": "other"},
		"apps/mod/x":   {"apps/mod/x/i": "inner"},
	}
	kept := cache.Open(t.TempDir(), 0)
	for name, store := range map[string]*cache.Store{"cache": kept, "none": nil} {
		for sub, want := range want {
			t.Run(name+" "+strings.ReplaceAll(sub, "/", "_"), func(t *testing.T) {
				for i := range 2 {
					if i == 1 && store == nil { // nothing was kept that could make a difference
						break
					}
					_, dir, err := through(t, store, url+"/repo/.git", "main", git.Options{SubPath: sub})
					if err != nil {
						t.Fatal(err)
					}
					if d := cmp.Diff(want, tree(t, dir)); d != "" {
						t.Error(d)
					}
					n, size := count.Take()
					if i == 0 && size > 20000 {
						t.Errorf("%d bytes came over the network", size)
					}
					if i == 1 && n != (gittest.Count{Lists: 1}) {
						t.Errorf("asked %+v", n)
					}
				}
			})
		}
	}
	for _, sub := range []string{"..", "apps/../..", "/etc", "apps/nowhere", "apps/other", "-x", "apps/web/run", ":(top)apps", "a\nb", "apps/mod/../../.."} {
		_, dir, err := through(t, kept, url+"/repo/.git", "main", git.Options{SubPath: sub})
		if err == nil {
			t.Errorf("%q gave %v", sub, tree(t, dir))
		}
	}
}

// Where the server doesn't know filters, all comes, and a part is written.
func TestSubPathWithoutFilters(t *testing.T) {
	m := newRemote(t)
	_, dir, err := through(t, cache.Open(t.TempDir(), 0), m.url, "main", git.Options{SubPath: "bin"})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]string{"bin/run": "#!/bin/sh"}, tree(t, dir)); d != "" {
		t.Error(d)
	}
}

// The number of packs stays bounded, and nothing is lost when they are packed.
func TestManyPacks(t *testing.T) {
	git.SetMostPacks(t, 4)
	root, url, count := counted(t)
	repo := gittest.New(t, root, "repo")
	repo.Git("config", "uploadpack.allowFilter", "true")
	for _, o := range []git.Options{{}, {SubPath: "d"}} {
		place := t.TempDir()
		store := cache.Open(place, 0)
		var shas []string
		for i := range 7 {
			repo.Write("d/a", fmt.Sprint(i, o.SubPath), 0o644)
			shas = append(shas, repo.Commit(fmt.Sprint(i)))
			if _, _, err := through(t, store, url+"/repo/.git", shas[i], o); err != nil {
				t.Fatal(err)
			}
			packs, err := filepath.Glob(filepath.Join(place, "repositories/*/*/objects/pack/*.pack"))
			if err != nil || len(packs) > 4 || len(packs) < 1 {
				t.Errorf("%d packs, %v", len(packs), err)
			}
		}
		count.Take()
		for i, sha := range shas {
			_, dir, err := through(t, store, url+"/repo/.git", sha, o)
			if err != nil {
				t.Fatal(err)
			}
			if got := tree(t, dir)["d/a"]; got != fmt.Sprint(i, o.SubPath) {
				t.Errorf("commit %d holds %q", i, got)
			}
		}
		if n, _ := count.Take(); n != (gittest.Count{}) {
			t.Errorf("asked %+v", n)
		}
	}
}
