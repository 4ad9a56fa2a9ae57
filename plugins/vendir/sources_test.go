package vendir_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/stages"
)

func TestInline(t *testing.T) {
	o := objects{"one": {"a.yml": "from secret", "b.yml": "b"}, "up": {"..": "x"}, "none": {}}
	config := "inline: {paths: {a.yml: first, d/e: f}, pathsFrom: [{secretRef: {name: one}}, {configMapRef: {name: one, directoryPath: d}}]}"
	f := newFixture(t, "", config, o)
	if err := f.check(); err != nil {
		t.Fatal(err)
	}
	key := f.key()
	f.mustRun()
	want := map[string]string{"a.yml": "from secret", "b.yml": "b", "d/e": "f", "d/a.yml": "from secret", "d/b.yml": "b"}
	if d := cmp.Diff(want, f.tree()); d != "" {
		t.Error(d)
	}
	if strings.Contains(f.events.text()+key, "from secret") {
		t.Error("a secret is shown")
	}
	o["one"]["b.yml"] = "changed"
	if f.key() == key {
		t.Error("the key stayed the same when a secret changed")
	}
	for name, test := range map[string]struct{ config, want string }{
		"missing secret":  {"pathsFrom: [{secretRef: {name: nope}}]", "pathsFrom[0].secretRef: Secret nope"},
		"missing map":     {"paths: {a: b}, pathsFrom: [{secretRef: {name: one}}, {configMapRef: {name: nope}}]", "pathsFrom[1].configMapRef: ConfigMap nope"},
		"key that leaves": {"pathsFrom: [{secretRef: {name: up, directoryPath: \".\"}}]", "expected the path of a file"},
		"nothing":         {"pathsFrom: [{secretRef: {name: none}}]", "holds no files"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, "", "inline: {"+test.config+"}", o)
			if err := f.check(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	f = newFixture(t, "", "inline: {paths: {a: file, a/b: below it}}", nil)
	if _, err := f.run(); err == nil || !strings.Contains(err.Error(), "in the way") {
		t.Errorf("got %v", err)
	}
	f.empty()
}

func TestHTTP(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/private", func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "pw" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte("private"))
	})
	mux.HandleFunc("/a.tgz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(tgz(t, map[string]string{"d/.git/config": "x", "d/f": "f", ".git": "gitdir: /x"}))
	})
	mux.HandleFunc("/only-git.tgz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(tgz(t, map[string]string{".git/config": "x"}))
	})
	mux.HandleFunc("/dots/..", func(w http.ResponseWriter, _ *http.Request) {})
	server := httptest.NewServer(mux)
	defer server.Close()
	o := objects{"right": {"username": "me", "password": "pw"}, "wrong": {"username": "me", "password": "s3cret"}, "odd": {"token": "x"}}
	tests := map[string]struct {
		config     string
		tree       map[string]string
		want, hint string
	}{
		"right":      {config: "url: URL/private, secretRef: {name: right}", tree: map[string]string{"private": "private"}},
		"wrong":      {config: "url: URL/private, secretRef: {name: wrong}", want: "answered 401", hint: "refused the username and password"},
		"none":       {config: "url: URL/private", want: "answered 401", hint: "give a secretRef"},
		"odd":        {config: "url: URL/private, secretRef: {name: odd}", want: `unknown key "token"`, hint: "expected username, password"},
		"missing":    {config: "url: URL/nope", want: "answered 404", hint: "check the url"},
		"in the url": {config: "url: \"AUTH/private\"", tree: map[string]string{"private": "private"}},
		"sum":        {config: "url: URL/a.tgz, sha256: " + strings.Repeat("a", 64), want: "expected sha256:aaa"},
		".git":       {config: "url: URL/a.tgz", tree: map[string]string{"d/f": "f"}},
		"only .git":  {config: "url: URL/only-git.tgz", want: "holds no files"},
		"subPath":    {config: "url: URL/a.tgz, subPath: d", tree: map[string]string{"f": "f"}},
		"no subPath": {config: "url: URL/a.tgz, subPath: e", want: "subPath e is not in the source", hint: "folders there: d"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config := strings.ReplaceAll(test.config, "URL", server.URL)
			config = strings.ReplaceAll(config, "AUTH", strings.Replace(server.URL, "http://", "http://me:pw@", 1))
			f := newFixture(t, "", "http: {"+config+"}", o)
			_, err := f.run()
			switch {
			case test.want == "" && err != nil:
				t.Fatal(err)
			case test.want == "":
				if d := cmp.Diff(test.tree, f.tree()); d != "" {
					t.Error(d)
				}
			case err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(stages.Hint(err), test.hint):
				t.Errorf("got %v (%s), want %q (%s)", err, stages.Hint(err), test.want, test.hint)
			default:
				f.empty()
			}
			if strings.Contains(f.events.text(), "pw") || (err != nil && strings.Contains(err.Error(), "s3cret")) {
				t.Error("a secret is shown")
			}
		})
	}
	if key := newFixture(t, "", "http: {url: https://h/a}", nil).key(); key != "" {
		t.Errorf("the key is %q", key)
	}
	if key := newFixture(t, "", "http: {url: https://h/a, sha256: "+strings.Repeat("A", 64)+"}", nil).key(); key != "http sha256:"+strings.Repeat("a", 64) {
		t.Errorf("the key is %q", key)
	}
}

func TestHTTPCancel(t *testing.T) {
	began := make(chan struct{}, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("some"))
		w.(http.Flusher).Flush()
		began <- struct{}{}
		<-r.Context().Done()
	}))
	defer server.Close()
	f := newFixture(t, "", "http: {url: "+server.URL+"/f}", nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-began; cancel() }()
	begin := time.Now()
	if _, err := f.step.Run(ctx, f.job); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("took %v to end", took)
	}
	f.empty()
}

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"app.yaml": "app", "app.lock.yaml": "lock", "a.txt": "a", "run": "#!", ".git/config": "x", "sub/.git": "gitdir: x", "sub/link": "-> ../a.txt",
		"node_modules/x/y": "big", ".strake/old/area": "o",
	})
	f := newFixture(t, dir, "directory: {path: ., excludePaths: [\"node_modules/**\", app.yaml]}", nil)
	f.job.Local = []string{"app.lock.yaml", filepath.Join(dir, ".strake")}
	if err := f.check(); err != nil {
		t.Fatal(err)
	}
	key := f.key()
	f.mustRun()
	want := map[string]string{"a.txt": "a", "run": "x #!", "sub/link": "-> ../a.txt"}
	if d := cmp.Diff(want, f.tree()); d != "" {
		t.Error(d)
	}
	for name, test := range map[string]struct {
		change  func() error
		changes bool
	}{
		"left out":   {func() error { return os.WriteFile(filepath.Join(dir, "app.lock.yaml"), []byte("other"), 0o600) }, false},
		"excluded":   {func() error { return os.WriteFile(filepath.Join(dir, "node_modules/z"), []byte("z"), 0o600) }, false},
		"time":       {func() error { return os.Chtimes(filepath.Join(dir, "a.txt"), time.Unix(1, 0), time.Unix(1, 0)) }, false},
		"content":    {func() error { return os.WriteFile(filepath.Join(dir, "a.txt"), []byte("b"), 0o600) }, true},
		"executable": {func() error { return os.Chmod(filepath.Join(dir, "a.txt"), 0o755) }, true},
		"new file":   {func() error { return os.WriteFile(filepath.Join(dir, "new"), nil, 0o600) }, true},
	} {
		before := f.key()
		if err := test.change(); err != nil {
			t.Fatal(err)
		}
		if (f.key() != before) != test.changes {
			t.Errorf("%s: the key before and after: %s, %s", name, before, f.key())
		}
	}
	if f.key() == key {
		t.Error("the key stayed the same")
	}
}

func TestDirectoryErrors(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"file": "x", "out/l": "-> ../../x", "abs/l": "-> /etc/passwd", "chain/a/b": "-> ..", "chain/a/c": "-> b/../..", "pipe/f": "x"})
	if err := os.MkdirAll(filepath.Join(dir, "empty/er"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe/p"), 0o644); err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string]string{"latin/\xe9": "x"})
	tests := map[string]struct {
		path, want string
		early      bool
	}{
		"no UTF-8": {"latin", `"\xe9": the name is not UTF-8`, false},
		"missing":  {"nope", "directory nope: no such folder", true},
		"file":     {"file", "directory file: is a file", true},
		"empty":    {"empty", "holds no files", false},
		"out":      {"out", "l: symbolic link to ../../x leads out", false},
		"absolute": {"abs", "l: symbolic link to /etc/passwd leads out", false},
		"pipe":     {"pipe", "p: neither a file", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, dir, "directory: {path: "+test.path+"}", nil)
			if err := f.check(); (err != nil) != test.early {
				t.Errorf("check: %v", err)
			}
			if _, err := f.run(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			f.empty()
		})
	}
	f := newFixture(t, dir, "directory: {path: pipe, excludePaths: [p]}", nil)
	f.mustRun()
}

// A step's own area is not its source, also where it lies in it.
func TestDirectoryAroundArea(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"a": "a", "work/out/.keep": ""})
	f := newFixture(t, dir, "directory: {path: .}", nil)
	if err := os.Remove(filepath.Join(dir, "work/out/.keep")); err != nil {
		t.Fatal(err)
	}
	out, err := stages.OpenTree(filepath.Join(dir, "work/out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	f.job.Out = out
	f.mustRun()
	if d := cmp.Diff(map[string]string{"a": "a"}, f.tree()); d != "" {
		t.Error(d)
	}
}

func TestCancelledBeforehand(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"src/a": "a"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, config := range []string{"directory: {path: src}", "inline: {paths: {a: b}}", "git: {url: https://git.invalid/a, ref: main}", "http: {url: https://h.invalid/a}", "image: {url: h.invalid/app}"} {
		f := newFixture(t, dir, config, nil)
		if _, err := f.step.Run(ctx, f.job); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v", config, err)
		}
		f.empty()
	}
}
