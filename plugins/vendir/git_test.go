package vendir_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"
	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/internal/git/gittest"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// servedRepo is a repository and its address; asked counts the requests.
func servedRepo(t *testing.T) (r *gittest.Repo, url string, asked *atomic.Int64) {
	t.Helper()
	root := t.TempDir()
	r = gittest.New(t, root, "repo")
	handler := gittest.Handler(t, root)
	asked = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		asked.Add(1)
		handler.ServeHTTP(w, req)
	}))
	t.Cleanup(server.Close)
	return r, server.URL + "/repo/.git", asked
}

func lockedGit(sha string) schema.LockedSource {
	return schema.LockedSource{LockDirectoryContents: vendirconf.LockDirectoryContents{Git: &vendirconf.LockDirectoryContentsGit{SHA: sha, Tags: []string{"v9"}, CommitTitle: "as locked"}}}
}

func TestGitLocked(t *testing.T) {
	r, url, asked := servedRepo(t)
	r.Write("a", "one", 0o644)
	first := r.Commit("first")
	r.Write("a", "two", 0o644)
	second := r.Commit("second")
	config := "git: {url: " + url + ", ref: origin/main}"

	f := newFixture(t, "", config, nil)
	entry := f.mustRun()
	if entry.Git.SHA != second || f.tree()["a"] != "two" {
		t.Errorf("got %+v, %v", entry.Git, f.tree())
	}
	f = newFixture(t, "", config, nil).enforce(lockedGit(first))
	asked.Store(0)
	if key := f.key(); key != "git "+first || asked.Load() > 0 {
		t.Errorf("the key is %q, after %d requests", key, asked.Load())
	}
	entry = f.mustRun()
	want := lockedGit(first)
	want.Path = "src"
	if d := cmp.Diff(want, entry); d != "" || f.tree()["a"] != "one" {
		t.Errorf("%s, %v", d, f.tree())
	}

	gone := strings.Repeat("0123456789", 4)
	lockErrors := map[string]struct {
		config string
		entry  schema.LockedSource
		want   string
	}{
		"commit is gone": {config, lockedGit(gone), gone + " in the lock file, which " + url + " no longer has"},
		"other commit":   {"git: {url: " + url + ", ref: " + second + "}", lockedGit(first), "is commit " + second + ", but the lock file has commit " + first},
		"no commit":      {config, lockedGit("main"), "has no commit in the lock file"},
		"other kind":     {config, schema.LockedSource{LockDirectoryContents: vendirconf.LockDirectoryContents{HTTP: &vendirconf.LockDirectoryContentsHTTP{}}}, "is of the kind git, but the lock file has one of the kind http"},
	}
	for name, test := range lockErrors {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, "", test.config, nil).enforce(test.entry)
			_, err := f.run()
			wantLockError(t, err, test.want)
			f.empty()
			if name != "commit is gone" { // that only the remote can tell
				wantLockError(t, f.check(), test.want)
			}
		})
	}
	f = newFixture(t, "", config, nil)
	f.job.Lock.Enforce = true
	_, err := f.run()
	wantLockError(t, err, "is not in the lock file")
}

func wantLockError(t *testing.T, err error, want string) {
	t.Helper()
	var le *stages.LockError
	if !errors.As(err, &le) || le.Entry != "source src" || !strings.Contains(le.Reason, want) {
		t.Errorf("got %v, want a lock error that says %q", err, want)
	}
}

func TestGitKey(t *testing.T) {
	r, url, _ := servedRepo(t)
	r.Write("a", "one", 0o644)
	first := r.Commit("first")
	r.Git("tag", "--annotate", "v1.0.0", "--message", "x")
	r.Git("tag", "v0.9.0")
	r.Write("a", "two", 0o644)
	second := r.Commit("second")
	for ref, want := range map[string]string{
		"ref: origin/main": "git " + second, "ref: v1.0.0": "git " + first, "ref: " + first: "git " + first, "ref: " + first[:8]: "",
		"refSelection: {semver: {}}": "git " + first,
	} {
		f := newFixture(t, "", "git: {url: "+url+", "+ref+"}", nil)
		if got := f.key(); got != want {
			t.Errorf("%s: the key is %q, want %q", ref, got, want)
		}
	}
}

func TestGitErrors(t *testing.T) {
	r, url, _ := servedRepo(t)
	r.Write("a", "one", 0o644)
	r.Link("/etc/passwd", "absolute")
	r.Commit("first")
	r.Git("checkout", "--quiet", "-b", "up")
	r.Git("rm", "--quiet", "absolute")
	r.Write("deep/f", "x", 0o644)
	r.Link("../../x", "deep/up")
	r.Commit("second")
	r.Git("checkout", "--quiet", "-b", "clean")
	r.Git("rm", "--quiet", "deep/up")
	r.Link("../a", "deep/over")
	r.Commit("third")
	r.Git("tag", "v1.0.0-rc.1")
	tests := map[string]struct{ config, want, hint string }{
		"no such branch":   {"url: " + url + ", ref: origin/nowhere", "ref origin/nowhere is not in " + url, "expected a branch"},
		"no such ref":      {"url: " + url + ", ref: nowhere", "ref nowhere is not in " + url, "expected a branch"},
		"no such repo":     {"url: " + strings.Replace(url, "repo", "none", 1) + ", ref: main", "not found", "check the url"},
		"no such tag":      {"url: " + url + ", refSelection: {semver: {constraints: \">=1.0.0\"}}", "no tag is chosen", "has 1 tags"},
		"absolute link":    {"url: " + url + ", ref: main", "absolute: symbolic link to /etc/passwd leads out", "links to their own files"},
		"link that leaves": {"url: " + url + ", ref: up", "deep/up: symbolic link to ../../x leads out", "links to their own files"},
		"link out of sub":  {"url: " + url + ", ref: clean, subPath: deep", "over: symbolic link to ../a leads out", "links to their own files"},
		"no such subPath":  {"url: " + url + ", ref: clean, subPath: depe", "subPath depe is not in the source", "folders there: deep"},
		"subPath is file":  {"url: " + url + ", ref: clean, subPath: a", "subPath a is no folder", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, "", "git: {"+test.config+"}", nil)
			_, err := f.run()
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(stages.Hint(err), test.hint) {
				t.Errorf("got %v (%s), want %q (%s)", err, stages.Hint(err), test.want, test.hint)
			}
		})
	}
}

func TestGitChecks(t *testing.T) {
	o := objects{"ssh": {"ssh-privatekey": "k", "ssh-knownhosts": "h"}, "odd": {"token": "t"}, "basic": {"username": "u", "password": "p"}}
	tests := map[string]struct{ config, want string }{
		"missing secret":   {"url: https://h/a, ref: main, secretRef: {name: nope}", "secretRef: Secret nope: nope: not found"},
		"unnamed secret":   {"url: https://h/a, ref: main, secretRef: ", "names no Secret"},
		"unknown key":      {"url: https://h/a, ref: main, secretRef: {name: odd}", `Secret odd has the unknown key "token"`},
		"password and ssh": {"url: \"git@h:a\", ref: main, secretRef: {name: basic}", "only for https"},
		"fine":             {"url: \"git@h:a\", ref: main, secretRef: {name: ssh}", ""},
		"fine too":         {"url: https://h/a, ref: main, secretRef: {name: basic}", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := newFixture(t, "", "git: {"+test.config+"}", o).check()
			if (err == nil) != (test.want == "") || (err != nil && !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	t.Run("no git", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		err := newFixture(t, "", "git: {url: https://h/a, ref: main}", nil).check()
		if err == nil || !strings.Contains(err.Error(), "git is not installed") || stages.Hint(err) == "" {
			t.Errorf("got %v", err)
		}
	})
}

// A path counts from the App's file.
func TestGitRelative(t *testing.T) {
	dir := t.TempDir()
	r := gittest.New(t, dir, "repos/one")
	r.Write("a", "one", 0o644)
	r.Commit("first")
	f := newFixture(t, filepath.Join(dir, "apps"), "git: {url: ../repos/one, ref: origin/main}", nil)
	f.mustRun()
	if d := cmp.Diff(map[string]string{"a": "one"}, f.tree()); d != "" {
		t.Error(d)
	}
	if _, err := os.Stat(filepath.Join(f.job.Out.Dir(), ".git")); err == nil {
		t.Error(".git was left behind")
	}
}

// Neither a process nor a file is left of a fetch that was cancelled in its middle.
func TestGitCancel(t *testing.T) {
	root := t.TempDir()
	r := gittest.New(t, root, "repo")
	r.Write("a", "one", 0o644)
	r.Commit("first")
	handler := gittest.Handler(t, root)
	fetching := make(chan struct{}, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body := new(strings.Builder)
		if req.Method == http.MethodPost {
			buf := make([]byte, 200)
			n, _ := req.Body.Read(buf)
			body.Write(buf[:n])
		}
		if strings.Contains(body.String(), "command=fetch") {
			fetching <- struct{}{}
			<-req.Context().Done()
			return
		}
		if body.Len() > 0 {
			req.Body = readCloser{strings.NewReader(body.String())}
			req.ContentLength = int64(body.Len())
		}
		handler.ServeHTTP(w, req)
	}))
	defer server.Close()
	t.Setenv("TMPDIR", t.TempDir())
	url := server.URL + "/repo/.git"
	f := newFixture(t, "", "git: {url: "+url+", ref: main}", nil)
	ctx, cancel := context.WithCancel(t.Context())
	var cancelled time.Time
	go func() {
		<-fetching
		cancelled = time.Now()
		cancel()
	}()
	_, err := f.step.Run(ctx, f.job)
	if took := time.Since(cancelled); took > 3*time.Second {
		t.Errorf("took %v to end", took)
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	f.empty()
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		if text, err := os.ReadFile(p); err == nil && strings.Contains(string(text), server.Listener.Addr().String()) {
			t.Errorf("left behind: %q", text)
		}
	}
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }
