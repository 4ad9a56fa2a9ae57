package kbld_test

import (
	"context"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/go-containerregistry/pkg/name"
	inprocess "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/plugins/kbld"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

// sameImages lets results be compared: an image of a lock has a field that isn't exported.
var sameImages = cmpopts.IgnoreUnexported(schema.LockedImage{})

// A world is an in-process registry, and a builder that pushes to it.
type world struct {
	t       testing.TB
	host    string
	client  *registry.Client
	builder *fakeBuilder

	mu       sync.Mutex
	requests []string
	// answer, if set, may answer a request instead of the registry.
	answer func(w http.ResponseWriter, r *http.Request) bool
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w, handler := emptyWorld(t)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	w.connect(strings.TrimPrefix(server.URL, "http://"), registry.Options{})
	return w
}

// emptyWorld returns a world that isn't connected to its registry yet.
func emptyWorld(t testing.TB) (*world, http.Handler) {
	w := &world{t: t, builder: &fakeBuilder{}}
	handler := inprocess.New(inprocess.Logger(log.New(io.Discard, "", 0)))
	return w, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.requests = append(w.requests, r.Method+" "+r.URL.Path)
		answer := w.answer
		w.mu.Unlock()
		if answer == nil || !answer(rw, r) {
			handler.ServeHTTP(rw, r)
		}
	})
}

// connect makes the client of a world whose registry is at host.
func (w *world) connect(host string, opts registry.Options) {
	w.t.Helper()
	opts.FirstWait = time.Millisecond
	client, err := registry.New(opts)
	if err != nil {
		w.t.Fatal(err)
	}
	w.host, w.client = host, client
}

func (w *world) plugin() stages.Plugin {
	return kbld.Plugin(kbld.Deps{Registry: w.client, Builder: w.builder})
}

// seen returns the requests since the last call.
func (w *world) seen() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.requests
	w.requests = nil
	return seen
}

// writes returns those of the requests that change the registry.
func writes(requests []string) []string {
	var found []string
	for _, r := range requests {
		if !strings.HasPrefix(r, "GET ") && !strings.HasPrefix(r, "HEAD ") {
			found = append(found, r)
		}
	}
	return found
}

// push puts an image of that content under a reference of the registry, and returns its digest.
func (w *world) push(ref, content string) string {
	w.t.Helper()
	tag, err := name.NewTag(w.host + "/" + ref)
	if err != nil {
		w.t.Fatal(err)
	}
	img := imageOf(w.t, content)
	if err := w.client.Push(w.t.Context(), tag, img); err != nil {
		w.t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		w.t.Fatal(err)
	}
	return digest.String()
}

// lose deletes a manifest, by digest and by tag, from a repository of the registry.
func (w *world) lose(repo string, refs ...string) {
	w.t.Helper()
	for _, r := range refs {
		ref, err := name.ParseReference(w.host + "/" + repo + r)
		if err != nil {
			w.t.Fatal(err)
		}
		if err := remote.Delete(ref); err != nil {
			w.t.Fatal(err)
		}
	}
}

func imageOf(t testing.TB, content string) v1.Image {
	t.Helper()
	img, err := mutate.Config(empty.Image, v1.Config{Labels: map[string]string{"content": content}})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// A fakeBuilder pushes an image that is made from the parts of the build's input.
type fakeBuilder struct {
	mu     sync.Mutex
	builds []string
	// choice is what the App said of where to build.
	choice buildkit.Choice
	// through counts the pushes by way of the client.
	through int
	// salt makes the result another one.
	salt string
	err  error
	hook func(ctx context.Context) error
}

func (f *fakeBuilder) Check() error                   { return nil }
func (f *fakeBuilder) Permits(buildkit.Options) error { return nil }
func (f *fakeBuilder) Epoch() (string, error)         { return "0", nil }

func (f *fakeBuilder) Daemons(_ context.Context, app buildkit.Choice, _ stages.Observer) ([]buildkit.Daemon, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.choice = app
	return nil, nil
}

func (f *fakeBuilder) Build(ctx context.Context, b *buildkit.Build, out buildkit.Output, _ stages.Observer) (buildkit.Result, error) {
	f.mu.Lock()
	f.builds = append(f.builds, out.Name)
	f.mu.Unlock()
	if f.hook != nil {
		if err := f.hook(ctx); err != nil {
			return buildkit.Result{}, err
		}
	}
	if f.err != nil {
		return buildkit.Result{}, f.err
	}
	img, err := mutate.Config(empty.Image, v1.Config{Labels: map[string]string{"content": b.Parts().Digest() + f.salt}})
	if err != nil {
		return buildkit.Result{}, err
	}
	for _, tag := range out.Push {
		if out.Through != nil {
			f.through++
			err = out.Through.Push(ctx, tag, img)
		} else {
			err = remote.Write(tag, img, remote.WithContext(ctx))
		}
		if err != nil {
			return buildkit.Result{}, err
		}
	}
	digest, err := img.Digest()
	return buildkit.Result{Digest: digest.String()}, err
}

// count returns how many builds there were since the last call.
func (f *fakeBuilder) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.builds)
	f.builds = nil
	return n
}

// run runs the plugin once.
func (w *world) run(c stagetest.Case) (*stages.Job, stages.Result, error) {
	w.t.Helper()
	c.Config = strings.ReplaceAll(c.Config, "HOST", w.host)
	c.Manifests = strings.ReplaceAll(c.Manifests, "HOST", w.host)
	files := map[string]string{}
	for name, text := range maps.All(c.Files) {
		files[name] = strings.ReplaceAll(text, "HOST", w.host)
	}
	c.Files = files
	job := stagetest.NewJob(w.t, c)
	result, err := stagetest.Bind(w.t, w.plugin(), c.Config).Run(w.t.Context(), job)
	return job, result, err
}

// must runs the plugin once, and successfully.
func (w *world) must(c stagetest.Case) (*stages.Job, stages.Result) {
	w.t.Helper()
	job, result, err := w.run(c)
	if err != nil {
		w.t.Fatalf("Run: %v (hint: %s)", err, stages.Hint(err))
	}
	return job, result
}

// images returns the images that a job's events tell of, by reference.
func images(job *stages.Job) map[string]stages.Image {
	found := map[string]stages.Image{}
	for _, e := range stagetest.Recorded(job).Events() {
		if e.Image != nil {
			found[e.Image.From] = *e.Image
		}
	}
	return found
}

// lockOf makes a lock of a result.
func lockOf(result stages.Result, enforce bool) *stages.Lock {
	return &stages.Lock{Enforce: enforce, File: schema.Lock{Images: result.Images}}
}

// deployment is a manifest that names images.
func deployment(refs ...string) string {
	var b strings.Builder
	b.WriteString("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: d\nspec:\n  containers:\n")
	for _, ref := range refs {
		b.WriteString("  - image: " + ref + "\n")
	}
	return b.String()
}
