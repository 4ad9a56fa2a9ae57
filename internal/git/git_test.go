package git_test

import (
	"context"
	"encoding/pem"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/internal/git"
	"strake.dev/strake/internal/git/gittest"
	"strake.dev/strake/stages"
)

// A remote is a repository with a history, and a server that serves it.
type remote struct {
	url                   string
	first, second, branch string
}

func newRemote(t *testing.T) remote {
	t.Helper()
	root := t.TempDir()
	r := gittest.New(t, root, "repo")
	r.Write("a.txt", "one", 0o644)
	r.Write("bin/run", "#!/bin/sh", 0o755)
	r.Link("a.txt", "link")
	m := remote{first: r.Commit("first\n\nbody")}
	r.Git("tag", "v1.0.0")
	r.Git("tag", "--annotate", "v1.0.0-annotated", "--message", "tag")
	r.Write("a.txt", "two", 0o644)
	m.second = r.Commit("second")
	r.Git("tag", "--annotate", "v1.1.0", "--message", "tag")
	r.Git("checkout", "--quiet", "-b", "feature/x", m.first)
	r.Write("a.txt", "branch", 0o644)
	m.branch = r.Commit("branch")
	r.Git("update-ref", "refs/pull/1/head", m.branch)
	r.Git("tag", "both", m.first)
	r.Git("branch", "both", m.second)
	r.Git("checkout", "--quiet", "main")
	server := httptest.NewServer(gittest.Handler(t, root))
	t.Cleanup(server.Close)
	m.url = server.URL + "/repo/.git"
	return m
}

func open(t *testing.T, url string, auth git.Auth) *git.Repository {
	t.Helper()
	if err := git.CheckURL(url); err != nil {
		t.Fatalf("%s %v", url, err)
	}
	r, err := git.Open(url, auth, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func checkout(t *testing.T, url, ref string) (git.Info, string, error) {
	t.Helper()
	r := open(t, url, git.Auth{})
	refs, err := r.Refs(t.Context(), git.Patterns(ref)...)
	if err != nil {
		t.Fatal(err)
	}
	all, err := r.Refs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, _ := all.Resolve(ref)
	if narrow, _ := refs.Resolve(ref); narrow.SHA != c.SHA {
		t.Errorf("%s is %q among all references, but %q among those it was asked for by", ref, c.SHA, narrow.SHA)
	}
	dir := t.TempDir()
	info, err := r.Checkout(t.Context(), dir, c, git.Options{})
	return info, dir, err
}

func TestReferences(t *testing.T) {
	m := newRemote(t)
	tests := map[string]struct {
		want git.Info
		text string
	}{
		"origin/main":                {git.Info{SHA: m.second, Tags: []string{"v1.1.0"}, Title: "second"}, "two"},
		"main":                       {git.Info{SHA: m.second, Tags: []string{"v1.1.0"}, Title: "second"}, "two"},
		"HEAD":                       {git.Info{SHA: m.second, Tags: []string{"v1.1.0"}, Title: "second"}, "two"},
		"refs/heads/main":            {git.Info{SHA: m.second, Tags: []string{"v1.1.0"}, Title: "second"}, "two"},
		"origin/feature/x":           {git.Info{SHA: m.branch, Title: "branch"}, "branch"},
		"refs/pull/1/head":           {git.Info{SHA: m.branch, Title: "branch"}, "branch"},
		"v1.0.0":                     {git.Info{SHA: m.first, Tags: []string{"v1.0.0-annotated"}, Title: "first..."}, "one"},
		"v1.0.0-annotated":           {git.Info{SHA: m.first, Tags: []string{"v1.0.0-annotated"}, Title: "first..."}, "one"},
		"tags/v1.1.0":                {git.Info{SHA: m.second, Tags: []string{"v1.1.0"}, Title: "second"}, "two"},
		"refs/tags/v1.1.0":           {git.Info{SHA: m.second, Tags: []string{"v1.1.0"}, Title: "second"}, "two"},
		"both":                       {git.Info{SHA: m.first, Tags: []string{"v1.0.0-annotated"}, Title: "first..."}, "one"},
		"origin/both":                {git.Info{SHA: m.second, Tags: []string{"v1.1.0"}, Title: "second"}, "two"},
		m.first:                      {git.Info{SHA: m.first, Tags: []string{"v1.0.0-annotated"}, Title: "first..."}, "one"},
		m.first[:9]:                  {git.Info{SHA: m.first, Tags: []string{"v1.0.0-annotated"}, Title: "first..."}, "one"},
		"v1.1.0~1":                   {git.Info{SHA: m.first, Tags: []string{"v1.0.0-annotated"}, Title: "first..."}, "one"},
		"refs/remotes/origin/main~1": {git.Info{SHA: m.first, Tags: []string{"v1.0.0-annotated"}, Title: "first..."}, "one"},
	}
	made := map[string]time.Time{
		m.first: time.Unix(1700000001, 0).UTC(), m.second: time.Unix(1700000005, 0).UTC(), m.branch: time.Unix(1700000009, 0).UTC(),
	}
	for ref, test := range tests {
		t.Run(strings.ReplaceAll(ref, "/", "_"), func(t *testing.T) {
			t.Parallel()
			info, dir, err := checkout(t, m.url, ref)
			if err != nil {
				t.Fatal(err)
			}
			test.want.Time = made[test.want.SHA]
			if d := cmp.Diff(test.want, info); d != "" {
				t.Error(d)
			}
			if text, err := os.ReadFile(filepath.Join(dir, "a.txt")); err != nil || string(text) != test.text {
				t.Errorf("a.txt holds %q, %v", text, err)
			}
			if info, err := os.Stat(filepath.Join(dir, "bin/run")); err != nil || info.Mode()&0o100 == 0 {
				t.Errorf("bin/run is not executable: %v, %v", info, err)
			}
			if target, err := os.Readlink(filepath.Join(dir, "link")); err != nil || target != "a.txt" {
				t.Errorf("link leads to %q, %v", target, err)
			}
		})
	}
}

func TestMissingReference(t *testing.T) {
	m := newRemote(t)
	for _, ref := range []string{"nowhere", "origin/nowhere", strings.Repeat("0123456789", 4), "abcdef1"} {
		if _, _, err := checkout(t, m.url, ref); !errors.Is(err, git.ErrNoCommit) {
			t.Errorf("%s: got %v", ref, err)
		}
	}
}

// An old server gives only what has a name, and a dumb one knows nothing of shallow histories.
func TestOldServers(t *testing.T) {
	m := newRemote(t)
	root := t.TempDir()
	r := gittest.New(t, root, "repo")
	r.Git("fetch", "--quiet", m.url, "+refs/*:refs/*", "--update-head-ok")
	r.Git("update-server-info")
	v0 := gittest.Handler(t, root)
	servers := map[string]http.Handler{
		"version 0": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("Git-Protocol")
			v0.ServeHTTP(w, r)
		}),
		"dumb": http.FileServer(http.Dir(root)),
	}
	for name, handler := range servers {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(handler)
			defer server.Close()
			for ref, want := range map[string]string{"main": m.second, "v1.0.0": m.first, m.first: m.first, m.first[:10]: m.first} {
				info, _, err := checkout(t, server.URL+"/repo/.git", ref)
				if err != nil || info.SHA != want {
					t.Errorf("%s is %s, %v; want %s", ref, info.SHA, err, want)
				}
			}
		})
	}
}

func TestShallow(t *testing.T) {
	m := newRemote(t)
	var mu sync.Mutex
	var said []string
	r := open(t, m.url, git.Auth{})
	r.Progress = func(line string) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, line)
	}
	refs, err := r.Refs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, _ := refs.Resolve("main")
	if _, err := r.Checkout(t.Context(), t.TempDir(), c, git.Options{}); err != nil {
		t.Fatal(err)
	}
	// One commit, its two trees, three blobs, one tag.
	if !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, "(7/7)") }) {
		t.Errorf("expected 7 objects, git said %q", said)
	}
}

// secureRemote serves a repository over TLS to those who know the password.
func secureRemote(t *testing.T, root string, seen func(*http.Request)) *httptest.Server {
	t.Helper()
	inner := gittest.Handler(t, root)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if seen != nil {
			seen(r)
		}
		if user, password, _ := r.BasicAuth(); user != "me" || password != "p%ss w/rd" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}
	if err := os.WriteFile(ca, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GIT_SSL_CAINFO", ca)
	return server
}

func TestPassword(t *testing.T) {
	root := t.TempDir()
	repo := gittest.New(t, root, "repo")
	repo.Write("f", "x", 0o644)
	sha := repo.Commit("c")
	server := secureRemote(t, root, nil)
	url := server.URL + "/repo/.git"
	withUser := strings.Replace(url, "https://", "https://me:p%25ss%20w%2Frd@", 1)
	tests := map[string]struct {
		url  string
		auth git.Auth
		ok   bool
	}{
		"right":       {url, git.Auth{Username: "me", Password: "p%ss w/rd"}, true},
		"forced":      {url, git.Auth{Username: "me", Password: "p%ss w/rd", ForceBasic: true}, true},
		"in the url":  {withUser, git.Auth{}, true},
		"secret wins": {withUser, git.Auth{Username: "me", Password: "wrong"}, false},
		"wrong":       {url, git.Auth{Username: "me", Password: "s3cret-wrong"}, false},
		"none":        {url, git.Auth{}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := open(t, test.url, test.auth)
			refs, err := r.Refs(t.Context())
			if !test.ok {
				if err == nil || stages.Hint(err) == "" {
					t.Errorf("got %v, hint %q", err, stages.Hint(err))
				}
				if err != nil && (strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "ss w")) {
					t.Errorf("the error shows a secret: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c, _ := refs.Resolve("main")
			if info, err := r.Checkout(t.Context(), t.TempDir(), c, git.Options{}); err != nil || info.SHA != sha {
				t.Errorf("got %v, %v", info, err)
			}
		})
	}
}

// A repository's own server is the only one to see its credentials.
func TestPasswordAcrossRedirect(t *testing.T) {
	root := t.TempDir()
	gittest.New(t, root, "repo").Commit("c")
	var leaked []string
	other := secureRemote(t, root, func(r *http.Request) {
		if h := r.Header.Get("Authorization"); h != "" {
			leaked = append(leaked, h)
		}
	})
	redirect := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+r.URL.String(), http.StatusFound)
	}))
	redirect.StartTLS()
	defer redirect.Close()
	for _, force := range []bool{false, true} {
		r := open(t, redirect.URL+"/repo/.git", git.Auth{Username: "me", Password: "p%ss w/rd", ForceBasic: force})
		if _, err := r.Refs(t.Context()); err == nil {
			t.Error("the other server let us in")
		}
	}
	if len(leaked) > 0 {
		t.Errorf("another server got %q", leaked)
	}
}

func TestSubmodules(t *testing.T) {
	root := t.TempDir()
	server := httptest.NewServer(gittest.Handler(t, root))
	defer server.Close()
	inner := gittest.New(t, root, "inner")
	inner.Write("inner.txt", "inner", 0o644)
	inner.Commit("inner")
	inner.Write("inner.txt", "later", 0o644)
	inner.Commit("inner later")
	outer := gittest.New(t, root, "outer")
	outer.Git("submodule", "add", "--quiet", server.URL+"/inner/.git", "sub/one")
	outer.Git("-C", "sub/one", "checkout", "--quiet", "HEAD~1")
	outer.Git("config", "-f", ".gitmodules", "submodule.sub/one.url", "../../inner/.git") // relative to the remote
	outer.Commit("outer")
	_, dir, err := checkout(t, server.URL+"/outer/.git", "main")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "sub/one/inner.txt")); err != nil || string(text) != "inner" {
		t.Errorf("the submodule holds %q, %v", text, err)
	}
}

// A remote repository must not have others of this machine checked out.
func TestLocalSubmodule(t *testing.T) {
	root := t.TempDir()
	private := gittest.New(t, t.TempDir(), "private")
	private.Write("secret.txt", "s", 0o644)
	private.Commit("p")
	server := httptest.NewServer(gittest.Handler(t, root))
	defer server.Close()
	outer := gittest.New(t, root, "outer")
	outer.Git("-c", "protocol.file.allow=always", "submodule", "add", "--quiet", "file://"+private.Dir, "sub")
	outer.Commit("outer")
	_, dir, err := checkout(t, server.URL+"/outer/.git", "main")
	if err == nil {
		t.Error("a submodule of this machine was checked out")
	}
	if _, err := os.Stat(filepath.Join(dir, "sub/secret.txt")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the submodule's file: %v", err)
	}
}

// What the user has configured for checkouts, and a hook that strake may run from, change nothing.
func TestUserConfiguration(t *testing.T) {
	m := newRemote(t)
	home := t.TempDir()
	hooks := filepath.Join(home, "template", "hooks")
	if err := os.MkdirAll(hooks, 0o755); err != nil {
		t.Fatal(err)
	}
	ran := filepath.Join(home, "ran")
	if err := os.WriteFile(filepath.Join(hooks, "post-checkout"), []byte("#!/bin/sh\ntouch "+ran+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	config := "[init]\ntemplateDir=" + filepath.Dir(hooks) + "\n[core]\nautocrlf=true\nhooksPath=" + hooks + "\n[url \"" + m.url + "\"]\ninsteadOf=https://git.invalid/repo\n"
	if err := os.WriteFile(filepath.Join(home, ".gitconfig"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", home)
	t.Setenv("GIT_DIR", "/nowhere")
	t.Setenv("GIT_WORK_TREE", "/nowhere")
	t.Setenv("GIT_INDEX_FILE", "/nowhere")
	_, dir, err := checkout(t, "https://git.invalid/repo", "main") // the user's mirror
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "a.txt")); err != nil || string(text) != "two" {
		t.Errorf("a.txt holds %q, %v", text, err)
	}
	if _, err := os.Stat(ran); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a hook ran")
	}
}

func TestCancel(t *testing.T) {
	stuck := make(chan struct{})
	asked := make(chan struct{}, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-stuck:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(stuck)
	url := server.URL + "/cancel-test/.git"
	r := open(t, url, git.Auth{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	begin := time.Now()
	_, err := r.Refs(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("took %v to end", took)
	}
	if left := processesOf(t, url); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// processesOf lists the commands that have an argument.
func processesOf(t *testing.T, arg string) []string {
	t.Helper()
	var found []string
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		if text, err := os.ReadFile(p); err == nil && strings.Contains(string(text), arg) {
			found = append(found, strings.ReplaceAll(string(text), "\x00", " "))
		}
	}
	return found
}

func TestCheckURL(t *testing.T) {
	good := []string{
		"https://git.example.com/a.git", "http://h/a", "ssh://git@h:22/a", "git://h/a", "file:///a", "/a/b", "git@h:team/a.git", "h:a", "user@[::1]:a", "HTTPS://h/a",
	}
	for _, u := range good {
		if err := git.CheckURL(u); err != nil {
			t.Errorf("%s %v", u, err)
		}
	}
	bad := []string{
		"", "-x", "--upload-pack=touch /tmp/x", "ext::sh -c touch% /tmp/x", "fd::17", "foo::bar", "::x", "ftp://h/a", "javascript://h/a", "https:///a", "ssh://-oProxyCommand=x/a",
		"ssh://-ox@h/a", "-oProxyCommand=x@h:a", "h:-oProxyCommand=x", "https://h/a\nb", "a/b", "relative", "https://[::1/a",
	}
	for _, u := range bad {
		if git.CheckURL(u) == nil {
			t.Errorf("%q was accepted", u)
		}
	}
}

func TestCheckRef(t *testing.T) {
	for _, ref := range []string{"-f", "--upload-pack=x", "origin/-f", "a b", "a\nb", "\x7f"} {
		if git.CheckRef(ref) == nil {
			t.Errorf("%q was accepted", ref)
		}
	}
}

func TestRedacted(t *testing.T) {
	tests := map[string]string{
		"https://me:pw@h/a?token=x#f": "https://h/a",
		"ssh://git:pw@h/a":            "ssh://git@h/a",
		"git@h:a":                     "git@h:a",
		"/a/b":                        "/a/b",
		"https://me:pw@[::1/a":        "the repository",
	}
	for in, want := range tests {
		if got := git.Redacted(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}
