package hg_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"strake.dev/strake/internal/cache"
	"strake.dev/strake/internal/git"
	"strake.dev/strake/internal/hg"
	"strake.dev/strake/internal/thorough"
)

// hgIn runs hg in a repository and returns what it says.
func hgIn(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("hg", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HGRCPATH=", "HGPLAIN=1", "HGRCSKIPREPO=1", "HGUSER=a <a@example.com>")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("hg %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// repo is the repository that newRepo gives copies of: each process of hg takes longer than all that it does here.
var repo struct {
	sync.Once
	files         fstest.MapFS
	first, second string
}

// newRepo gives a repository with two changesets, a tag, a bookmark and a branch.
func newRepo(t *testing.T) (dir, first, second string) {
	t.Helper()
	if _, err := exec.LookPath("hg"); err != nil {
		t.Skip("hg is not installed (Debian: mercurial)")
	}
	repo.Do(func() { makeRepo(t) })
	dir = t.TempDir()
	if err := os.CopyFS(dir, repo.files); err != nil {
		t.Fatal(err)
	}
	return dir, repo.first, repo.second
}

func makeRepo(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	hgIn(t, dir, "init")
	write(t, filepath.Join(dir, "a"), "1")
	hgIn(t, dir, "commit", "--addremove", "--quiet", "-m", "first\n\nbody", "-d", "1700000000 0")
	hgIn(t, dir, "tag", "v1", "-d", "1700000001 0")
	write(t, filepath.Join(dir, "a"), "2")
	hgIn(t, dir, "commit", "--quiet", "-m", "second", "-d", "1700000002 0")
	hgIn(t, dir, "bookmark", "mark")
	names := strings.Fields(hgIn(t, dir, "log", "-r", "v1 + mark", "-T", "{node} "))
	if len(names) != 2 {
		t.Fatalf("the changesets are %q", names)
	}
	repo.first, repo.second, repo.files = names[0], names[1], fstest.MapFS{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, path))
		repo.files[path] = &fstest.MapFile{Data: text, Mode: 0o644}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// commands counts what hg asks a server for.
type commands struct {
	mu   sync.Mutex
	seen []string
}

func (c *commands) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.seen
	c.seen = nil
	return seen
}

// serve serves a repository over http, or https to those who know the password.
func serve(t *testing.T, dir, password string) (*httptest.Server, *commands) {
	t.Helper()
	cmd := exec.Command("hg", "serve", "--address", "127.0.0.1", "--port", "0", "--print-url")
	cmd.Dir = dir
	// hg loads its parts when it first needs them, which several requests at once don't survive, unless it is told not to.
	cmd.Env = append(os.Environ(), "HGRCPATH=", "HGRCSKIPREPO=1", "HGDEMANDIMPORT=disable")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	target, err := url.Parse(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	target.Host = "127.0.0.1:" + target.Port()
	proxy := httputil.NewSingleHostReverseProxy(target)
	c := &commands{}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, pass, _ := r.BasicAuth(); password != "" && (user != "me" || pass != password) {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		c.mu.Lock()
		c.seen = append(c.seen, r.URL.Query().Get("cmd"))
		c.mu.Unlock()
		proxy.ServeHTTP(w, r)
	})
	start := httptest.NewServer
	if password != "" {
		start = httptest.NewTLSServer
	}
	server := start(handler)
	t.Cleanup(server.Close)
	return server, c
}

func checkout(t *testing.T, store *cache.Store, address, ref string, auth git.Auth, evolve bool) (hg.Info, string, error) {
	t.Helper()
	r, err := hg.Open(address, auth, evolve, t.TempDir())
	if err != nil {
		return hg.Info{}, "", err
	}
	defer r.Close()
	r.Cache = store
	dir := t.TempDir()
	info, err := r.Checkout(t.Context(), dir, ref)
	return info, dir, err
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestReferences(t *testing.T) {
	repo, first, second := newRepo(t)
	server, _ := serve(t, repo, "")
	store := cache.Open(t.TempDir(), 0)
	for _, test := range []struct{ ref, sha, title, text string }{
		{"default", second, "second", "2"},
		{"tip", second, "second", "2"},
		{"mark", second, "second", "2"},
		{"v1", first, "first", "1"},
		{first, first, "first", "1"},
		{first[:12], first, "first", "1"},
		{"max(branch(default))", second, "second", "2"},
		{"v1 + v1", first, "first", "1"},
	} {
		for name, store := range map[string]*cache.Store{"cache": store, "none": nil} {
			if store == nil && !strings.HasPrefix(test.ref, "v1") || thorough.Times(1, 2) == 1 && slices.Contains([]string{"tip", first, "max(branch(default))"}, test.ref) {
				continue
			}
			info, dir, err := checkout(t, store, server.URL, test.ref, git.Auth{}, false)
			if err != nil {
				t.Errorf("%s, %s: %v", test.ref, name, err)
				continue
			}
			if info.SHA != test.sha || info.Title != test.title || info.Time.Unix() < 1700000000 || info.Time.Unix() > 1700000003 {
				t.Errorf("%s, %s: got %+v", test.ref, name, info)
			}
			if got := read(t, filepath.Join(dir, "a")); got != test.text {
				t.Errorf("%s, %s: a holds %q", test.ref, name, got)
			}
			if got := hgIn(t, dir, "status"); got != "" {
				t.Errorf("%s, %s: status %q", test.ref, name, got)
			}
			if got := read(t, filepath.Join(dir, ".hg/hgrc")); got != "[paths]\ndefault = "+server.URL+"\n" {
				t.Errorf("hgrc is %q", got)
			}
		}
	}
	for _, ref := range []string{"nowhere", strings.Repeat("0123456789", 4), "abcdef1234", "branch(nowhere)"} {
		if _, _, err := checkout(t, store, server.URL, ref, git.Auth{}, false); !errors.Is(err, hg.ErrNoChangeset) {
			t.Errorf("%s: got %v", ref, err)
		}
	}
	for _, ref := range []string{"", "-r", "--config=alias.update=!touch x", "a\nb", "remote(tip,'ssh://-oProxyCommand=x/')", "outgoing('/')", "BUNDLE ('x')"} {
		if _, _, err := checkout(t, store, server.URL, ref, git.Auth{}, false); err == nil || !strings.Contains(err.Error(), "the reference") {
			t.Errorf("%q: got %v", ref, err)
		}
	}
}

func TestPullsOnce(t *testing.T) {
	repo, first, _ := newRepo(t)
	server, asked := serve(t, repo, "")
	place := t.TempDir()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if _, _, err := checkout(t, cache.Open(place, 0), server.URL, "default", git.Auth{}, false); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	count := func() (pulls, all int) {
		for _, command := range asked.take() {
			all++
			if command == "getbundle" || command == "unbundle" || command == "stream_out" {
				pulls++
			}
		}
		return pulls, all
	}
	if n, _ := count(); n != 1 {
		t.Errorf("pulled %d times", n)
	}
	step := func(what, ref string, pulls int, quiet bool) {
		t.Helper()
		if _, _, err := checkout(t, cache.Open(place, 0), server.URL, ref, git.Auth{}, false); err != nil {
			t.Fatal(err)
		}
		if n, all := count(); n != pulls || quiet && all != 0 {
			t.Errorf("%s: %d requests, pulled %d times", what, all, n)
		}
	}
	step("unchanged", "default", 0, false)
	step("pinned", first, 0, true)
	write(t, filepath.Join(repo, "a"), "3")
	hgIn(t, repo, "commit", "--quiet", "-m", "third")
	step("changed", "default", 1, false)
}

func TestPassword(t *testing.T) {
	repo, first, _ := newRepo(t)
	server, _ := serve(t, repo, "p%s; #w")
	store := cache.Open(t.TempDir(), 0)
	right := git.Auth{Username: "me", Password: "p%s; #w", SkipTLSVerify: true}
	wrong := git.Auth{Username: "me", Password: "wr0ng", SkipTLSVerify: true}
	if _, _, err := checkout(t, store, server.URL, "default", git.Auth{Username: "me", Password: "p%s; #w"}, false); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown certificate: %v", err)
	}
	if _, _, err := checkout(t, store, server.URL, first, right, false); err != nil {
		t.Fatal(err)
	}
	// What lies in the cache isn't for everybody.
	for ref, auth := range map[string]git.Auth{first: wrong, "default": wrong, "v1": {SkipTLSVerify: true}} {
		_, _, err := checkout(t, store, server.URL, ref, auth, false)
		if err == nil || strings.Contains(err.Error(), "wr0ng") {
			t.Errorf("%s: got %v", ref, err)
		}
	}
	server.Close()
	if _, _, err := checkout(t, store, server.URL, first, right, false); err != nil {
		t.Errorf("without the server: %v", err)
	}
	for _, auth := range []git.Auth{{Username: "me", Password: "a\nb"}, {Username: "me\n[hooks]", Password: "x"}} {
		if _, _, err := checkout(t, store, server.URL, first, auth, false); err == nil {
			t.Errorf("%q was accepted", auth.Password)
		}
	}
	if _, err := hg.Open("http://h/r", right, false, t.TempDir()); err == nil {
		t.Error("a password for http was accepted")
	}
}

// A pull that is killed leaves nothing that a later one takes for whole.
func TestKilledPull(t *testing.T) {
	repo, _, second := newRepo(t)
	place := t.TempDir()
	store := cache.Open(place, 0)
	if _, _, err := checkout(t, store, repo, second, git.Auth{}, false); err != nil {
		t.Fatal(err)
	}
	clones, err := filepath.Glob(filepath.Join(place, "repositories/hg-*/clone"))
	if err != nil || len(clones) != 1 {
		t.Fatalf("%q, %v", clones, err)
	}
	damage := map[string]func() error{
		"mark": func() error { return os.WriteFile(clones[0]+".pulling", nil, 0o600) },
		"half": func() error {
			return errors.Join(os.WriteFile(clones[0]+".pulling", nil, 0o600), os.RemoveAll(clones[0]+"/.hg/store/data"))
		},
		"changelog torn": func() error { return os.Truncate(clones[0]+"/.hg/store/00changelog.i", 70) },
		"files gone":     func() error { return os.RemoveAll(clones[0] + "/.hg/store/data") },
		"manifest torn":  func() error { return os.Truncate(clones[0]+"/.hg/store/00manifest.i", 10) },
		"no hg":          func() error { return os.RemoveAll(clones[0] + "/.hg") },
		"gone":           func() error { return os.RemoveAll(clones[0]) },
		"locked":         func() error { return os.Symlink("elsewhere:1", clones[0]+"/.hg/store/lock") },
	}
	left := thorough.Times(3, len(damage)) // in any order
	for name, damage := range damage {
		if left--; left < 0 {
			break
		}
		if err := damage(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		info, dir, err := checkout(t, store, repo, second, git.Auth{}, false)
		if err != nil || info.SHA != second || read(t, filepath.Join(dir, "a")) != "2" {
			t.Errorf("%s: %+v, %v", name, info, err)
		}
		if err == nil {
			hgIn(t, dir, "verify", "--quiet")
		}
	}
}

// Nothing that a repository says runs anything, or reads another one.
func TestHostile(t *testing.T) {
	ran := filepath.Join(t.TempDir(), "ran")
	private, _, _ := newRepo(t)
	repos := map[string]func(dir string){
		"hooks and aliases": func(dir string) {
			write(t, filepath.Join(dir, ".hg/hgrc"), "[hooks]\noutgoing = touch "+ran+"\npreoutgoing = touch "+ran+"\nupdate = touch "+ran+"\n[alias]\nserve = !touch "+ran+"\nclone = !touch "+ran+"\nidentify = !touch "+ran+"\n")
		},
		"extension": func(dir string) {
			write(t, filepath.Join(dir, "evil.py"), "open("+"'"+ran+"'"+", 'w')\n")
			write(t, filepath.Join(dir, ".hg/hgrc"), "[extensions]\nevil = "+dir+"/evil.py\n")
		},
		"subrepository": func(dir string) {
			write(t, filepath.Join(dir, ".hgsub"), "sub = "+private+"\n")
			write(t, filepath.Join(dir, ".hgsubstate"), hgIn(t, private, "log", "-r", ".", "-T", "{node}")+" sub\n")
			hgIn(t, private, "clone", "--quiet", private, filepath.Join(dir, "sub"))
			hgIn(t, dir, "add", ".hgsub")
			hgIn(t, dir, "commit", "--quiet", "-m", "sub")
		},
		"git subrepository": func(dir string) {
			write(t, filepath.Join(dir, ".hgsub"), "sub = [git]ext::sh -c touch% "+ran+"\n")
			write(t, filepath.Join(dir, ".hgsubstate"), strings.Repeat("1", 40)+" sub\n")
			hgIn(t, dir, "--config", "subrepos.allowed=false", "add", ".hgsub", ".hgsubstate")
		},
	}
	for name, change := range repos {
		t.Run(name, func(t *testing.T) {
			dir, _, _ := newRepo(t)
			change(dir)
			_, out, err := checkout(t, cache.Open(t.TempDir(), 0), dir, "default", git.Auth{}, false)
			t.Log(err)
			if name == "subrepository" && err == nil {
				t.Error("a subrepository was let in")
			}
			if _, err := os.Stat(ran); !errors.Is(err, os.ErrNotExist) {
				t.Error("something ran")
			}
			if _, err := os.Stat(filepath.Join(out, "sub", "a")); err == nil {
				t.Error("another repository was read")
			}
		})
	}
	for _, address := range []string{
		"", "-x", "--config=alias.init=!touch x", "relative/path", "ssh://-oProxyCommand=touch%20x/r", "ssh://-x@h/r", "ssh://h/-oProxyCommand=x", "ext::sh -c x",
		"bundle:/x", "union:/x", "static-http://h/r", "git+https://h/r", "svn+ssh://h/r", "https:///r", "https://h/a\nb", "file://host/r", "javascript:x",
	} {
		if hg.CheckURL(address) == nil {
			t.Errorf("%q was accepted", address)
		}
	}
	for _, address := range []string{"https://h/r", "http://h:8000/r#branch", "ssh://hg@h/r", "ssh://h//abs/r", "/a/b", "file:///a/b"} {
		if err := hg.CheckURL(address); err != nil {
			t.Errorf("%s %v", address, err)
		}
	}
}

func TestEvolve(t *testing.T) {
	repo, first, _ := newRepo(t)
	if err := exec.Command("hg", "--config", "extensions.evolve=", "--config", "extensions.topic=", "version").Run(); err != nil {
		t.Skip("the extension evolve is not installed (Debian: mercurial-evolve)")
	}
	_, dir, err := checkout(t, cache.Open(t.TempDir(), 0), repo, first, git.Auth{}, true)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, filepath.Join(dir, ".hg/hgrc")); !strings.Contains(got, "evolve") {
		t.Errorf("hgrc is %q", got)
	}
}

// fakeSSH notes its arguments and runs the command here.
const fakeSSH = `#!/bin/sh
printf '%s\n' "$@" >>"$SSH_LOG"
for a in "$@"; do last=$a; done
eval "$last"
`

func TestSSH(t *testing.T) {
	repo, first, _ := newRepo(t)
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "ssh"), []byte(fakeSSH), 0o755); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(t.TempDir(), "log")
	t.Setenv("SSH_LOG", log)
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	auth := git.Auth{PrivateKey: []byte("KEY"), KnownHosts: []byte("HOST")}
	if _, _, err := checkout(t, nil, "ssh://hg@host.invalid/"+repo, first, auth, false); err != nil {
		t.Fatal(err)
	}
	text := read(t, log)
	for _, want := range []string{"StrictHostKeyChecking=yes", "BatchMode=yes", "ServerAliveInterval=30", "hg@host.invalid", "IdentitiesOnly=yes"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %s", want, text)
		}
	}
}

func TestCancel(t *testing.T) {
	if _, err := exec.LookPath("hg"); err != nil {
		t.Skip("hg is not installed (Debian: mercurial)")
	}
	asked := make(chan struct{}, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	defer server.Close()
	r, err := hg.Open(server.URL, git.Auth{}, false, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	begin := time.Now()
	if _, err := r.Checkout(ctx, t.TempDir(), "default"); !errors.Is(err, ctx.Err()) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}
