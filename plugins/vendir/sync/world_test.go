package sync_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"
	"carvel.dev/vendir/pkg/vendir/directory"
	vendircache "carvel.dev/vendir/pkg/vendir/fetch/cache"
	"github.com/cppforlife/go-cli-ui/ui"

	"strake.dev/strake/internal/cache"
	"strake.dev/strake/internal/git/gittest"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/plugins/vendir/source"
	vendirsync "strake.dev/strake/plugins/vendir/sync"
	"strake.dev/strake/plugins/vendir/vendirtest"
	"strake.dev/strake/stages"
)

const head = "apiVersion: vendir.k14s.io/v1alpha1\nkind: Config\n"

// A world has a server for each kind of source. Its values stand for REPO, WEB, HOST and so on in
// configurations.
type world struct {
	repo   *gittest.Repo
	web    *httptest.Server
	values []string
	// asked counts what was asked for, by method and path.
	mu    sync.Mutex
	asked map[string]int
	files map[string]string
	// local is a folder for directory sources.
	local string
}

// ServeHTTP gives files, and plays GitHub's API.
func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	w.asked[r.Method+" "+r.URL.Path]++
	w.mu.Unlock()
	user, password, _ := r.BasicAuth()
	switch text, ok := w.files[path.Base(r.URL.Path)]; {
	case strings.HasPrefix(r.URL.Path, "/repos/"):
		w.github(rw, r)
	case strings.HasPrefix(r.URL.Path, "/private/") && (user != "user" || password != "pass"):
		rw.WriteHeader(http.StatusUnauthorized)
	case !ok:
		http.NotFound(rw, r)
	default:
		rw.Header().Set("ETag", fmt.Sprintf("%q", path.Base(r.URL.Path)))
		if r.Header.Get("If-None-Match") == rw.Header().Get("ETag") {
			rw.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = io.WriteString(rw, text)
	}
}

// pack makes the files of the web server.
func pack(t *testing.T) map[string]string {
	content := map[string]string{"a.yml": "a: 1\n", "dir/b.yml": "b: 2\n", "dir/deep/c.md": "c\n", "LICENSE": "free\n", "d.txt": ""}
	return map[string]string{
		"plain.txt": "from the web\n", "empty": "",
		"a.tgz": string(vendirtest.Tgz(t, content)), "a.zip": string(vendirtest.Zip(t, content)),
		"inner.tgz": string(vendirtest.Tgz(t, map[string]string{"archives/a.tgz": string(vendirtest.Tgz(t, content)), "x": "y"})),
	}
}

func sumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// github answers as https://docs.github.com/en/rest/releases does.
func (w *world) github(rw http.ResponseWriter, r *http.Request) {
	base := "https://api.github.com"
	assets := []map[string]any{}
	for i, name := range []string{"plain.txt", "a.tgz"} {
		assets = append(assets, map[string]any{"url": fmt.Sprintf("%s/repos/o/r/releases/assets/%d", base, i), "name": name, "size": len(w.files[name])})
	}
	release := func(tag string) map[string]any {
		return map[string]any{
			"url": base + "/repos/o/r/releases/" + strings.TrimPrefix(tag, "v"), "tag_name": tag, "assets": assets,
			"body": "New:\n\n" + sumOf(w.files["plain.txt"]) + "  plain.txt\n" + sumOf(w.files["a.tgz"]) + "  ./a.tgz\n",
		}
	}
	var answer any
	switch p := strings.TrimPrefix(r.URL.Path, "/repos/o/r/"); p {
	case "releases/tags/v1.0.0", "releases/1.0.0":
		answer = release("v1.0.0")
	case "releases/tags/v2.0.0", "releases/2.0.0", "releases/latest":
		answer = release("v2.0.0")
	case "tags":
		answer = []map[string]string{{"name": "v1.0.0"}, {"name": "v2.0.0"}, {"name": "v3.0.0-rc.1"}}
	case "releases/assets/0":
		_, _ = io.WriteString(rw, w.files["plain.txt"])
		return
	case "releases/assets/1":
		_, _ = io.WriteString(rw, w.files["a.tgz"])
		return
	default:
		http.NotFound(rw, r)
		return
	}
	_ = json.NewEncoder(rw).Encode(answer)
}

// toGitHub lets the process's own requests for GitHub's API, which the library's are, reach the world.
type toGitHub struct {
	next http.RoundTripper
	to   string
}

func (g toGitHub) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == "api.github.com" {
		r = r.Clone(r.Context())
		r.URL.Scheme, r.URL.Host = "http", g.to
	}
	return g.next.RoundTrip(r)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{asked: map[string]int{}, local: t.TempDir(), files: pack(t)}
	root := t.TempDir()
	w.repo = gittest.New(t, root, "repo")
	fill(w.repo)
	gitServer := httptest.NewServer(gittest.Handler(t, root))
	t.Cleanup(gitServer.Close)
	w.web = httptest.NewServer(w)
	t.Cleanup(w.web.Close)
	hgRepo := hgRepository(t)
	host := vendirtest.Registry(t)
	image := vendirtest.Image(t, nil, vendirtest.Tgz(t, map[string]string{"a.yml": "a", "dir/b.yml": "b", "run": "#!", "LICENSE": "free"}))
	digest := vendirtest.Push(t, host+"/app", image, "latest", "v1.0.0", "v1.2.0", "v2.0.0-rc.1")
	bundle, nested := bundles(t, host, digest)
	vendirtest.Write(t, w.local, map[string]string{
		"dir/a.txt": "a\n", "dir/deep/b.md": "b\n", "dir/LICENSE": "free\n", "dir/run.sh": "#!/bin/sh\n", "dir/link": "-> a.txt", "dir/.hidden": "h\n",
	})
	w.values = []string{
		"HGREPO", hgRepo, "REPO", gitServer.URL + "/repo/.git", "PATHREPO", w.repo.Dir, "FIRST", w.repo.Git("rev-parse", "v1.0.0^{commit}"), "WEB", w.web.URL,
		"HOST", host, "NESTED", nested, "BUNDLE", bundle, "DIGEST", digest, "LOCAL", w.local,
		"SUM", sumOf(w.files["plain.txt"]), "TGZ", sumOf(w.files["a.tgz"]),
	}
	transport := http.DefaultTransport
	own := transport.(*http.Transport).Clone() // imgpkg wants one of that type
	own.RegisterProtocol("https", toGitHub{transport, strings.TrimPrefix(w.web.URL, "http://")})
	http.DefaultTransport = own
	t.Cleanup(func() { http.DefaultTransport = transport })
	return w
}

// fill makes the history that git sources are taken from.
func fill(r *gittest.Repo) {
	r.Write("config/a.yml", "a: 1", 0o644)
	r.Write("config/deep/b.yml", "b: 1", 0o644)
	r.Write("config/run.sh", "#!/bin/sh", 0o755)
	r.Write("LICENSE", "free", 0o644)
	r.Write("docs/NOTICE.md", "notice", 0o644)
	r.Link("config/a.yml", "link")
	r.Commit("first\n\nwith a body")
	r.Git("tag", "v1.0.0")
	r.Write("config/a.yml", "a: 2", 0o644)
	r.Git("tag", "--annotate", "v1.1.0-rc.1", "--message", "x", r.Commit("release candidate"))
	r.Write("config/a.yml", "a: 3", 0o644)
	r.Commit("main goes on")
	r.Git("checkout", "--quiet", "-b", "feature/x", "v1.0.0")
	r.Write("feature.txt", "f", 0o644)
	r.Commit("feature")
	r.Git("tag", "v0.9.0")
	r.Git("checkout", "--quiet", "main")
}

// hgRepository makes a Mercurial repository, and returns its path; empty where hg isn't installed.
func hgRepository(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("hg"); err != nil {
		return ""
	}
	dir := filepath.Join(t.TempDir(), "hg")
	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command("hg", args...)
		cmd.Env = append(os.Environ(), "HGRCPATH=/dev/null", "HGUSER=a")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("hg %v: %v\n%s", args, err, out)
		}
	}
	run("init", dir)
	vendirtest.Write(t, dir, map[string]string{"a.yml": "a: 1\n", "d/run.sh": "#!/bin/sh\n"})
	run("--cwd", dir, "commit", "--addremove", "--message", "first\n\nand more")
	run("--cwd", dir, "tag", "v1")
	return dir
}

const lockHead = "---\napiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\n"

// bundles pushes a bundle whose image is beside it, and one that has that bundle in it.
func bundles(t *testing.T, host, digest string) (plain, nested string) {
	label := map[string]string{"dev.carvel.imgpkg.bundle": "true"}
	list := lockHead + "images:\n- image: " + host + "/app@" + digest + "\n  annotations: {kbld.carvel.dev/id: app}\n"
	plain = vendirtest.Push(t, host+"/app", vendirtest.Image(t, label, vendirtest.Tgz(t, map[string]string{".imgpkg/images.yml": list, "config/c.yml": "c"})), "bundle", "v0.1.0")
	list = lockHead + "images:\n- image: " + host + "/app@" + plain + "\n- image: " + host + "/app@" + digest + "\n"
	nested = vendirtest.Push(t, host+"/app", vendirtest.Image(t, label, vendirtest.Tgz(t, map[string]string{".imgpkg/images.yml": list, "config/n.yml": "n"})), "nested")
	return plain, nested
}

// config is a configuration with the world's values.
func (w *world) config(t testing.TB, text string) (vendirconf.Config, []vendirconf.Secret, []vendirconf.ConfigMap) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "vendir.yml")
	vendirtest.Write(t, filepath.Dir(file), map[string]string{"vendir.yml": strings.NewReplacer(w.values...).Replace(head + text)})
	conf, secrets, configMaps, err := vendirconf.NewConfigFromFiles([]string{file})
	if err != nil {
		t.Fatal(err)
	}
	return conf, secrets, configMaps
}

// theirs lets vendir's library sync a configuration in the working directory, as its command does.
func (w *world) theirs(t testing.TB, text string, lock vendirconf.LockConfig) (vendirconf.LockConfig, error) {
	t.Helper()
	conf, secrets, configMaps := w.config(t, text)
	none, err := vendircache.NewCache("", "")
	if err != nil {
		t.Fatal(err)
	}
	opts := directory.SyncOpts{RefFetcher: directory.NewNamedRefFetcher(secrets, configMaps), Cache: none, Lazy: true}
	out := vendirconf.NewLockConfig()
	for _, dir := range conf.Directories {
		known, _ := lock.FindDirectory(dir.Path)
		entry, err := directory.NewDirectory(dir, known, ui.NewNoopUI()).Sync(opts)
		if err == nil {
			err = directory.ValidateSymlinks(dir.Path)
		}
		if err != nil {
			return out, err
		}
		out.Directories = append(out.Directories, entry)
	}
	return out, nil
}

// ours syncs a configuration in a folder.
func (w *world) ours(t testing.TB, s *vendirsync.Syncer, dir string, conf vendirconf.Config, secrets []vendirconf.Secret, configMaps []vendirconf.ConfigMap, lock vendirconf.LockConfig) (vendirconf.LockConfig, error) {
	t.Helper()
	return s.Sync(t.Context(), conf, vendirsync.Options{
		Dir: dir, Objects: vendirsync.Objects(secrets, configMaps, nil), Events: silent{}, Lock: lock, Lazy: true,
	})
}

func discard() *log.Logger { return log.New(io.Discard, "", 0) }

type silent struct{}

func (silent) Observe(stages.Event) {}

func syncer(t testing.TB, store *cache.Store) *vendirsync.Syncer {
	t.Helper()
	client, err := registry.New(registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return vendirsync.New(source.Deps{Registry: client, Transport: http.DefaultTransport, Cache: store, KeepGit: true})
}

// treeOf lists a folder's files. Of a .git, only that it is there.
func treeOf(t testing.TB, dir string) map[string]string {
	t.Helper()
	if _, err := os.Lstat(dir); err != nil {
		return nil
	}
	tree := vendirtest.Tree(t, dir)
	for name := range tree {
		if strings.Contains("/"+name, "/.hg/") {
			delete(tree, name)
		}
		if i := strings.Index(name, ".git/"); i >= 0 && (i == 0 || name[i-1] == '/') {
			delete(tree, name)
			if strings.HasSuffix(name, ".git/HEAD") && !strings.Contains(name, "modules") {
				tree[name] = ""
			}
		}
	}
	return tree
}
