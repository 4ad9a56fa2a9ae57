package buildkit_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	inprocess "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/stages"
)

func hello(text string) map[string]string {
	return map[string]string{"Dockerfile": "FROM scratch\nCOPY hello /\n", "hello": text}
}

func TestLayoutAndArchive(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	into := filepath.Join(dir, "new", "images")
	archive := filepath.Join(dir, "out", "app.tar")
	var out buildkit.Output
	place := func(o *buildkit.Output) {
		o.Layout, o.Archive = into, archive
		out = *o
	}
	platforms := buildkit.Source{Options: buildkit.Options{Platforms: []string{"linux/amd64", "linux/arm64"}}}
	// The daemon pushes too: all are one image.
	first, _, err := b.make(t.Context(), t, hello("one"), platforms, place)
	if err != nil {
		t.Fatal(err)
	}
	tag := out.Tag
	b.index(t, first.Digest)
	for where, look := range map[string]func(string, string) (string, error){into: buildkit.LayoutDigest, archive: buildkit.ArchiveDigest} {
		for asked, want := range map[string]string{tag: first.Digest, "strake-other": ""} {
			if got, err := look(where, asked); err != nil || got != want {
				t.Errorf("%s has under %s: %q, %v; expected %q", where, asked, got, err, want)
			}
		}
		if got, err := look(where+"-nope", tag); err != nil || got != "" {
			t.Errorf("what isn't there has %q, %v", got, err)
		}
	}
	bytes, err := os.ReadFile(archive)
	must(t, bytes, err)

	// A second image, without a registry.
	second, _, err := b.make(t.Context(), t, hello("two"), buildkit.Source{}, func(o *buildkit.Output) { place(o); o.Push = nil })
	if err != nil {
		t.Fatal(err)
	}
	for asked, want := range map[string]string{tag: first.Digest, out.Tag: second.Digest} {
		if got, err := buildkit.LayoutDigest(into, asked); err != nil || got != want {
			t.Errorf("the layout has under %s: %q, %v; expected %q", asked, got, err, want)
		}
	}
	if got, err := buildkit.ArchiveDigest(archive, tag); err != nil || got != "" {
		t.Errorf("the archive still has %q, %v", got, err)
	}
	all, err := layout.ImageIndexFromPath(into)
	if err := validate.Index(must(t, all, err)); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(out.Temp); err != nil || len(left) > 0 {
		t.Errorf("left in the folder for temporary files: %v, %v", left, err)
	}
	manifest, err := all.IndexManifest()
	if n := len(must(t, manifest, err).Manifests); n != 2 {
		t.Errorf("%d images in the layout", n)
	}

	// The first again: nothing is doubled, and the archive is the same to the byte.
	if _, _, err := b.make(t.Context(), t, hello("one"), platforms, func(o *buildkit.Output) { place(o); o.Push = nil }); err != nil {
		t.Fatal(err)
	}
	all, err = layout.ImageIndexFromPath(into)
	manifest, err = must(t, all, err).IndexManifest()
	if n := len(must(t, manifest, err).Manifests); n != 2 {
		t.Errorf("%d images in the layout", n)
	}
	if again, err := os.ReadFile(archive); err != nil || string(again) != string(bytes) {
		t.Errorf("the archive differs: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(into, "*"))
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	if must(t, files, err); !slices.Equal(files, []string{"blobs", "index.json", "oci-layout"}) {
		t.Errorf("files of the layout: %v", files)
	}
}

func TestNothingHalfIsLeft(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	place := func(o *buildkit.Output) {
		o.Push, o.Layout, o.Archive, o.Temp = nil, filepath.Join(dir, "images"), filepath.Join(dir, "app.tar"), filepath.Join(dir, "temp")
	}
	ctx, cancel := context.WithCancel(t.Context())
	b.observer = onLog{"begun", cancel}
	_, _, err := b.make(ctx, t, map[string]string{"Dockerfile": "FROM BASE\nRUN echo begun; sleep 30\n"}, buildkit.Source{Options: buildkit.Options{NoCache: true}}, place)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v", err)
	}
	b.observer = nil
	if _, _, err := b.make(t.Context(), t, map[string]string{"Dockerfile": "FROM BASE\nRUN false\n"}, buildkit.Source{}, place); err == nil {
		t.Error("no error")
	}
	left, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if must(t, left, err); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestOutputIsChecked(t *testing.T) {
	b := bench{repo: "r.example.com/app", client: buildkit.New(buildkit.ClientOptions{}), address: "unix:///nope"}
	for want, change := range map[string]func(*buildkit.Output){
		"no place for the image":      func(o *buildkit.Output) { o.Push = nil },
		"expected an absolute":        func(o *buildkit.Output) { o.Layout = "images" },
		"a.tar: the image has no tag": func(o *buildkit.Output) { o.Archive, o.Tag = "/tmp/a.tar", "" },
	} {
		if _, _, err := b.make(t.Context(), t, hello("x"), buildkit.Source{}, change); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error: %v, expected %q", err, want)
		}
	}
}

// A front lets requests through to a registry, unless answer says that it has answered.
type front struct {
	host string

	mu       sync.Mutex
	answer   func(w http.ResponseWriter, r *http.Request) bool
	requests []string
}

func newFront(t *testing.T) *front {
	f := &front{}
	handler := inprocess.New(inprocess.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.requests = append(f.requests, r.Method+" "+r.URL.Path)
		answer := f.answer
		f.mu.Unlock()
		answered := false
		if answer != nil {
			answered = answer(w, r)
		}
		if !answered {
			handler.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	f.host = strings.TrimPrefix(server.URL, "http://")
	return f
}

func (f *front) set(answer func(w http.ResponseWriter, r *http.Request) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

// seen counts the requests that begin with a text.
func (f *front) seen(prefix string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, r := range f.requests {
		if strings.HasPrefix(r, prefix) {
			n++
		}
	}
	return n
}

func TestPushThroughClient(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := newFront(t)
	client, err := registry.New(registry.Options{FirstWait: time.Millisecond})
	must(t, client, err)
	b.repo = f.host + "/team/app"
	options := buildkit.Options{Platforms: []string{"linux/amd64", "linux/386"}, Provenance: "min"}
	through := func(o *buildkit.Output) { o.Through = client }
	first, rec, err := b.make(t.Context(), t, hello("one"), buildkit.Source{Options: options}, through)
	if err != nil {
		t.Fatal(err)
	}
	if got := rec.states("pushing to " + f.host); !slices.Equal(got, []string{stages.TaskDone}) {
		t.Errorf("states of the push: %v", got)
	}
	index, manifests := b.index(t, first.Digest)
	for _, m := range manifests[:2] {
		img, err := index.Image(m.Digest)
		if err := validate.Image(must(t, img, err)); err != nil {
			t.Error(err)
		}
	}
	if len(manifests) != 4 || !slices.Equal(first.Platforms, options.Platforms) {
		t.Errorf("%d manifests, platforms %v", len(manifests), first.Platforms)
	}
	uploads := f.seen("PUT /v2/team/app/blobs")
	// Another file beside the same one: only what is new is uploaded.
	files := hello("one")
	files["Dockerfile"] += "LABEL a=b\n"
	options.Provenance = ""
	if _, _, err := b.make(t.Context(), t, files, buildkit.Source{Options: options}, through); err != nil {
		t.Fatal(err)
	}
	if again := f.seen("PUT /v2/team/app/blobs") - uploads; again != 2 {
		t.Errorf("%d uploads for a new label, expected the two configurations", again)
	}

	for name, c := range map[string]struct {
		status int
		header string
		want   string
		hint   string
	}{
		"denied":      {http.StatusForbidden, "", "build of app: push to " + f.host + "/team/app:strake-", "log in to the registry"},
		"broken":      {http.StatusInternalServerError, "", "500", ""},
		"no such":     {http.StatusNotFound, "", "404", ""},
		"wrong image": {0, "", "after the push of sha256:", ""},
	} {
		fresh, err := registry.New(registry.Options{FirstWait: time.Millisecond})
		must(t, fresh, err)
		f.set(func(w http.ResponseWriter, r *http.Request) bool {
			if c.status == 0 {
				if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/manifests/strake-") {
					w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
					_, _ = w.Write([]byte(`{"schemaVersion":2}`))
					return true
				}
				return false
			}
			if r.Method == http.MethodGet || r.Method == http.MethodHead {
				return false
			}
			w.WriteHeader(c.status)
			return true
		})
		_, _, err = b.make(t.Context(), t, hello(name), buildkit.Source{}, func(o *buildkit.Output) { o.Through = fresh })
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(stages.Hint(err), c.hint) {
			t.Errorf("%s: %v, hint %q", name, err, stages.Hint(err))
		}
	}

	// 429 once, with a wait.
	limited := 0
	f.set(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") && limited == 0 {
			limited++
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}
		return false
	})
	if _, _, err := b.make(t.Context(), t, hello("limited"), buildkit.Source{}, through); err != nil || limited != 1 {
		t.Errorf("after 429: %v, %d times", err, limited)
	}
}

func TestDaemonsPushIsRepeated(t *testing.T) {
	b := newBench(t)
	for name, c := range map[string]struct {
		// answers are given to the first uploads of the manifest.
		fail   func(w http.ResponseWriter)
		times  int32
		want   string
		pushes int
	}{
		"429 once":     {func(w http.ResponseWriter) { w.Header().Set("Retry-After", "1"); w.WriteHeader(429) }, 6, "", 7},
		"500 once":     {func(w http.ResponseWriter) { w.WriteHeader(500) }, 1, "", 2},
		"404 for ever": {func(w http.ResponseWriter) { w.WriteHeader(404) }, 100, "404 Not Found", 1},
		"403 for ever": {func(w http.ResponseWriter) { w.WriteHeader(403) }, 100, "403 Forbidden", 1},
		"429 for ever": {func(w http.ResponseWriter) { w.WriteHeader(429) }, 1000, "429 Too Many Requests", 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t)
			b := b
			client, err := registry.New(registry.Options{FirstWait: time.Millisecond})
			b.client = buildkit.New(buildkit.ClientOptions{FirstWait: 10 * time.Millisecond, Registry: must(t, client, err)})
			b.repo = f.host + "/team/app"
			var failed atomic.Int32
			f.set(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/manifests/") {
					return false
				}
				if failed.Add(1) > c.times {
					return false
				}
				c.fail(w)
				return true
			})
			result, rec, err := b.make(t.Context(), t, hello(name), buildkit.Source{}, nil)
			t.Log(err, f.seen("PUT /v2/team/app/manifests"))
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "build of app") {
					t.Errorf("error: %v", err)
				}
			} else if err != nil {
				t.Fatal(err)
			} else if desc, err := remote.Head(b.ref(t, result.Digest)); err != nil || desc.Digest.String() != result.Digest {
				t.Errorf("the registry has %v, %v", desc, err)
			}
			if got := f.seen("PUT /v2/team/app/manifests"); got != c.pushes {
				t.Errorf("the manifest was pushed %d times, expected %d", got, c.pushes)
			}
			if warned := strings.Contains(rec.told(t), "trying again (2 of 4)"); warned != strings.HasPrefix(name, "429") {
				t.Errorf("told of a second try: %v", warned)
			}
		})
	}
}

func TestWaitForRegistryEndsWithContext(t *testing.T) {
	b := newBench(t)
	f := newFront(t)
	client, err := registry.New(registry.Options{})
	b.client = buildkit.New(buildkit.ClientOptions{FirstWait: time.Millisecond, Registry: must(t, client, err)})
	b.repo = f.host + "/team/app"
	ctx, cancel := context.WithCancel(t.Context())
	var at time.Time
	f.set(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/manifests/") {
			return false
		}
		if r.Method == http.MethodGet {
			// The client asks before the second try.
			w.Header().Set("Retry-After", "25")
			time.AfterFunc(50*time.Millisecond, func() { at = time.Now(); cancel() })
		}
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	})
	_, _, err = b.make(ctx, t, hello("x"), buildkit.Source{}, nil)
	if !errors.Is(err, context.Canceled) || time.Since(at) > 5*time.Second {
		t.Errorf("%v after the end of the context: %v", time.Since(at), err)
	}
}

func TestRegistryGivesWrongDigest(t *testing.T) {
	b := newBench(t)
	f := newFront(t)
	wrong := "sha256:" + strings.Repeat("a", 64)
	f.set(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/manifests/") {
			return false
		}
		w.Header().Set("Docker-Content-Digest", wrong)
		w.WriteHeader(http.StatusCreated)
		return true
	})
	b.repo = f.host + "/team/app"
	_, _, err := b.make(t.Context(), t, hello("x"), buildkit.Source{}, nil)
	if err == nil || !strings.Contains(err.Error(), "got digest "+wrong) {
		t.Errorf("error: %v", err)
	}
}

// A warned calls f when a warning is told.
type warned func()

func (f warned) Observe(e stages.Event) {
	if e.Type == stages.Warning {
		f()
	}
}

// The daemon tries for some seconds itself; then it is the client's turn.
func TestUploadIsCutOff(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := newFront(t)
	f.set(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/blobs/uploads/") {
			panic(http.ErrAbortHandler)
		}
		return false
	})
	b.observer = warned(func() { f.set(nil) })
	b.client = buildkit.New(buildkit.ClientOptions{FirstWait: time.Millisecond})
	b.repo = f.host + "/team/app"
	result, rec, err := b.make(t.Context(), t, hello("x"), buildkit.Source{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if told := rec.told(t); !strings.Contains(told, "EOF; trying again (2 of 4)") {
		t.Errorf("no second try was told: %s", told)
	}
	if err := validate.Image(b.image(t, result.Digest)); err != nil {
		t.Error(err)
	}
}
