package vendir_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"
	"github.com/google/go-cmp/cmp"
	regserver "github.com/google/go-containerregistry/pkg/registry"

	"strake.dev/strake/internal/cache"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/plugins/vendir"
	"strake.dev/strake/plugins/vendir/source"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// A counted server lists what it was asked for, and lets only those in who know the password, once that is set.
type counted struct {
	mu       sync.Mutex
	asked    []string
	password string
	content  string
	next     http.Handler
}

func (c *counted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, password, _ := r.BasicAuth(); c.password != "" && password != c.password {
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if r.URL.Path != "/v2/" { // how to sign in is asked once by each client
		c.asked = append(c.asked, r.Method)
	}
	if c.next != nil {
		c.next.ServeHTTP(w, r)
		return
	}
	http.ServeContent(w, r, "f", time.Unix(1700000000+int64(len(c.content)), 0), strings.NewReader(c.content))
}

// take returns what was asked for since the last time.
func (c *counted) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked := strings.Join(c.asked, " ")
	c.asked = nil
	return asked
}

func serveCounted(t *testing.T, c *counted) string {
	t.Helper()
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	return server.URL
}

// cached makes fixtures of sources that share a cache, each as of another process.
func cached(t *testing.T) func(config string, o objects) *fixture {
	t.Helper()
	dir := t.TempDir()
	return func(config string, o objects) *fixture {
		t.Helper()
		client, err := registry.New(registry.Options{FirstWait: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		nodes, err := schema.Parse("app.yaml", []byte(config))
		if err != nil {
			t.Fatal(err)
		}
		step, err := vendir.Plugin(source.Deps{Registry: client, Cache: cache.Open(dir, 0)}).New(nodes[0])
		if err != nil {
			t.Fatal(err)
		}
		f := fixtureOf(t, t.TempDir(), step, o)
		f.job.Began = time.Now()
		return f
	}
}

const sumOfOne = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed" // of “one”

func TestHTTPCached(t *testing.T) {
	server := &counted{content: "one"}
	url := serveCounted(t, server)
	fetch := cached(t)
	open, pinned := "http: {url: "+url+"/f}", "http: {url: "+url+"/f, sha256: "+sumOfOne+"}"
	for _, step := range []struct{ config, want string }{
		{open, "GET"},
		{open, "GET"}, // answered 304
		{pinned, ""},
	} {
		f := fetch(step.config, nil)
		key := f.key()
		if got := f.mustRun(); got.Digest != "sha256:"+sumOfOne || f.tree()["f"] != "one" || key != "http "+got.Digest {
			t.Errorf("got %+v, %v, key %s", got, f.tree(), key)
		}
		if asked := server.take(); asked != step.want {
			t.Errorf("%s: asked %q, want %q", step.config, asked, step.want)
		}
	}
	server.content = "other"
	if f := fetch(open, nil); f.mustRun().Digest == "sha256:"+sumOfOne || f.tree()["f"] != "other" {
		t.Errorf("got %v", f.tree())
	}
	server.content, server.password = "one", "pw"
	server.take()
	login := objects{"good": {"username": "me", "password": "pw"}, "bad": {"username": "me", "password": "no"}}
	fetch(strings.Replace(pinned, "}", ", secretRef: {name: good}}", 1), login).mustRun()
	if asked := server.take(); asked != "HEAD" {
		t.Errorf("with a secret it asked %q", asked)
	}
	f := fetch(strings.Replace(pinned, "}", ", secretRef: {name: bad}}", 1), login)
	if _, err := f.run(); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("what the cache has was given to somebody whom the server refuses: %v", err)
	}
}

// What a lock says of a file holds, and what the server has instead is named.
func TestHTTPLocked(t *testing.T) {
	server := &counted{content: "one"}
	url := serveCounted(t, server)
	config := "http: {url: " + url + "/f}"
	entry := schema.LockedSource{
		LockDirectoryContents: vendirconf.LockDirectoryContents{HTTP: &vendirconf.LockDirectoryContentsHTTP{}}, Digest: "sha256:" + sumOfOne,
	}
	fetch := cached(t)
	if got := fetch(config, nil).enforce(entry).mustRun(); got.Digest != entry.Digest {
		t.Errorf("got %+v", got)
	}
	server.content = "two"
	if got := fetch(config, nil).enforce(entry); got.mustRun().Digest != entry.Digest || got.tree()["f"] != "one" {
		t.Errorf("got %v", got.tree())
	}
	for name, f := range map[string]*fixture{"no cache": newFixture(t, "", config, nil), "empty cache": cached(t)(config, nil)} {
		_, err := f.enforce(entry).run()
		stale, ok := errors.AsType[*stages.LockError](err)
		if !ok || !strings.Contains(stale.Reason, "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3") || !strings.Contains(stale.Reason, sumOfOne) {
			t.Errorf("%s: got %v, want both digests", name, err)
		}
		f.empty()
	}
}

func TestImageCached(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	server := &counted{next: regserver.New(regserver.Logger(discard()))}
	host := strings.TrimPrefix(serveCounted(t, server), "http://")
	digest := push(t, host+"/app", imageOf(t, nil, tgz(t, map[string]string{"a": "1"}), tgz(t, map[string]string{"b": "2"})), "v1")
	fetch := cached(t)
	tag, pinned := "image: {url: '"+host+"/app:v1'}", "image: {url: "+host+"/app@"+digest+"}"
	login := objects{"good": {"username": "me", "password": "pw"}, "bad": {"username": "me", "password": "no"}}
	server.take()
	for _, step := range []struct{ config, want string }{
		{tag, "HEAD GET GET GET"}, // the manifest and two layers
		{tag, "HEAD"},
		{pinned, ""},
		{strings.Replace(pinned, "}", ", secretRef: {name: good}}", 1), "HEAD"},
	} {
		f := fetch(step.config, login)
		f.key()
		f.mustRun()
		if d := cmp.Diff(map[string]string{"a": "1", "b": "2"}, f.tree()); d != "" {
			t.Error(d)
		}
		asked := strings.Fields(server.take())
		slices.SortStableFunc(asked, func(a, b string) int { return strings.Compare(b, a) })
		if got := strings.Join(asked, " "); got != step.want {
			t.Errorf("%s: asked %q, want %q", step.config, got, step.want)
		}
	}
	server.password = "pw"
	f := fetch(strings.Replace(pinned, "}", ", secretRef: {name: bad}}", 1), login)
	if _, err := f.run(); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("what the cache has was given to somebody whom the registry refuses: %v", err)
	}
}

// What a remote has answered in a run is for those who ask with the same credentials, whatever their Secret's name.
func TestAnswersAreOfCredentials(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	server := &counted{next: regserver.New(regserver.Logger(discard()))}
	host := strings.TrimPrefix(serveCounted(t, server), "http://")
	push(t, host+"/app", imageOf(t, nil, tgz(t, map[string]string{"a": "1"})), "v1.0.0")
	server.password = "pw"
	client, err := registry.New(registry.Options{FirstWait: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	plugin, began := vendir.Plugin(source.Deps{Registry: client}), time.Now()
	for _, config := range []string{
		"image: {url: '" + host + "/app:v1.0.0', secretRef: {name: login}}",
		"image: {url: " + host + "/app, tagSelection: {semver: {constraints: '>0.0.0'}}, secretRef: {name: login}}",
	} {
		server.take()
		for i, password := range []string{"pw", "other", "pw"} {
			nodes, err := schema.Parse("app.yaml", []byte(config))
			if err != nil {
				t.Fatal(err)
			}
			step, err := plugin.New(nodes[0])
			if err != nil {
				t.Fatal(err)
			}
			f := fixtureOf(t, "", step, objects{"login": {"username": "me", "password": password}})
			f.job.Began = began
			if _, err := step.(stages.Keyer).Key(t.Context(), f.job); (err == nil) != (password == "pw") {
				t.Errorf("%s with the password %q: %v", config, password, err)
			}
			if asked := server.take(); (asked == "") != (i > 0) {
				t.Errorf("%s, time %d, with the password %q: asked %q", config, i, password, asked)
			}
		}
	}
}

// A vendir.yml is fetched whole, below the entry's path, and each of its contents has an entry in the lock.
func TestWhole(t *testing.T) {
	server := &counted{content: "one"}
	url := serveCounted(t, server)
	f := cached(t)("path: v\nvendir: {path: sub/vendir.yml}", nil)
	write(t, f.job.Dir, map[string]string{
		"sub/vendir.yml": "apiVersion: vendir.k14s.io/v1alpha1\nkind: Config\ndirectories:\n- path: out\n  contents:\n" +
			"  - {path: a, http: {url: " + url + "/f, secretRef: {name: login}}}\n  - {path: b, directory: {path: local}, excludePaths: ['*.md']}\n" +
			"- path: hand\n  contents: [{path: made, manual: {}}]\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: login}\ndata: {username: bWU=, password: cHcxMjM=}\n",
		"sub/local/x": "x", "sub/local/y.md": "y", "sub/hand/made/z": "z",
	})
	server.password = "pw123"
	var hidden []string
	f.job.Hide = func(value []byte) { hidden = append(hidden, string(value)) }
	if err := f.check(); err != nil {
		t.Fatal(err)
	}
	key := f.key()
	result, err := f.step.Run(t.Context(), f.job)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]string{"out/a/f": "one", "out/b/x": "x", "hand/made/z": "z"}, f.tree()); d != "" {
		t.Error(d)
	}
	var paths []string
	for _, s := range result.Sources {
		paths = append(paths, s.Path)
	}
	if got := strings.Join(paths, " "); got != "src/out/a src/out/b src/hand/made" || result.Sources[0].Digest != "sha256:"+sumOfOne {
		t.Errorf("got %+v", result.Sources)
	}
	if !slices.Contains(hidden, "pw123") {
		t.Error("the password isn't kept out of what is shown")
	}
	write(t, f.job.Dir, map[string]string{"sub/local/x": "changed"})
	if f.key() == key {
		t.Error("the key stayed the same")
	}
	for config, want := range map[string]string{
		"vendir: {path: nope.yml}":          "vendir.path: ",
		"vendir: {}":                        "vendir.path: missing",
		"vendir:":                           "vendir: is empty",
		"vendir: {path: x}\nmanual: {}":     "has manual beside vendir",
		"vendir: {path: x}\npath: ../other": "relative path",
	} {
		step, err := bind(config)
		if err == nil {
			err = fixtureOf(t, filepath.Dir(f.job.Dir), step, nil).check()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", config, err)
		}
	}
}
