package buildkit

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/random"

	"strake.dev/strake/internal/buildkit/buildkittest"
	"strake.dev/strake/stages"
)

type collected []stages.Event

func (c *collected) Observe(e stages.Event) { *c = append(*c, e) }

func TestHidden(t *testing.T) {
	var events collected
	h := &hidden{}
	h.Add([]byte("abc"))
	h.Add([]byte(" secret \n"))
	h.Add([]byte("secretest"))
	h.Add([]byte("-----BEGIN\nline of a long key\nshort\n-----END"))
	h.addPassword("https://user:pass-word@example.com/x")
	h.addPassword("https://example.com/x")
	h.addPassword("::")
	for text, want := range map[string]string{
		"abc":                        "abc",
		"a secretest, secret":        "a ***, ***",
		"key: line of a long key":    "key: ***",
		"short":                      "short",
		"https://user:pass-word@a/b": "https://***@a/b",
	} {
		if got := h.Clean(text); got != want {
			t.Errorf("%q became %q, expected %q", text, got, want)
		}
	}
	o := h.observer(&events)
	o.Observe(stages.Event{Message: "secret"})
	o.Observe(stages.Event{Task: &stages.Task{ID: "secret", Name: "secret", Detail: "secret"}})
	if events[0].Message != "***" || *events[1].Task != (stages.Task{ID: "***", Name: "***", Detail: "***"}) {
		t.Errorf("events: %v", events)
	}
	plain := errors.New("nothing")
	if got := h.error(plain); !errors.Is(got, plain) {
		t.Errorf("an error without a secret became %v", got)
	}
	step := &StepError{Name: "app", Step: "echo secret", Log: []string{"a", "secret"}, Excerpt: "secret", Err: errors.New("secret")}
	err := h.error(stages.WithHint(step, "not secret"))
	if strings.Contains(err.Error()+stages.Hint(err), "secret") || stages.Hint(err) == "" {
		t.Errorf("error: %v, hint %s", err, stages.Hint(err))
	}
	if s, ok := errors.AsType[*StepError](err); !ok || strings.Contains(strings.Join(s.Log, ""), "secret") || s.Name != "app" {
		t.Errorf("step error: %v", s)
	}
	if step.Log[1] != "secret" {
		t.Error("the first error was changed")
	}
}

func TestFaults(t *testing.T) {
	tag, err := name.NewTag("registry.example.com/team/app:1")
	must(t, err)
	for text, want := range map[string]string{
		"unexpected status from PUT request to https://r.example.com/v2/team/app/manifests/v1: 429 Too Many Requests":                           "r.example.com/team/app:v1",
		"failed to push x: unexpected status from HEAD request to http://r.example.com:80/v2/aa/blobs/sha256:00: 503 Service Unavailable: body": "r.example.com:80/aa:latest",
		"unexpected status from GET request to https://r.example.com/v2/aa/manifests/sha256:" + digest64 + ": 500 Internal Server Error":        "r.example.com/aa@sha256:" + digest64,
		"unexpected status from PUT request to https://registry.example.com/v2/team/app/blobs/uploads/1: 502 Bad Gateway":                       tag.Name(),
		"unexpected status from POST request to https://auth.example.com/token?scope=a: 500 Internal Server Error":                              "none",
		`failed to do request: Put "https://registry.example.com/v2/team/app/blobs/uploads/1": read tcp: connection reset by peer`:              tag.Name(),
		`failed to copy: failed to do request: Put "https://r.example.com/v2/aa/blobs/uploads/1": EOF`:                                          "r.example.com/aa:latest",
		"unexpected status from PUT request to https://r.example.com/v2/aa/manifests/v1: 401 Unauthorized":                                      "",
		"unexpected status from PUT request to https://r.example.com/v2/aa/manifests/v1: 403 Forbidden":                                         "",
		"unexpected status from PUT request to https://r.example.com/v2/aa/manifests/v1: 404 Not Found":                                         "",
		`failed to do request: Head "https://r.example.com/v2/": dial tcp: lookup r.example.com: no such host`:                                  "",
		"the daemon went away: EOF": "",
		"":                          "",
	} {
		f, ok := faultIn(text)
		if ok != (want != "") {
			t.Errorf("%q: passing %v", text, ok)
		}
		if !ok {
			continue
		}
		ref, ok := f.reference([]name.Tag{tag})
		switch {
		case ok != (want != "none"):
			t.Errorf("%q: reference %v", text, ref)
		case ok && ref.Name() != want:
			t.Errorf("%q: %s, expected %s", text, ref.Name(), want)
		}
	}
	for _, err := range []error{nil, context.Canceled, &StepError{ExitCode: 1, Err: errors.New("unexpected status from PUT request to https://r/v2/: 500 x")}} {
		if _, ok := faultOf(err); ok {
			t.Errorf("%v is taken for a registry's fault", err)
		}
	}
	pull := &StepError{Err: errors.New("unexpected status from GET request to https://r/v2/a/manifests/1: 500 x")}
	if _, ok := faultOf(pull); !ok {
		t.Error("a failed pull of a base image is not tried again")
	}
}

func FuzzFault(f *testing.F) {
	f.Add("unexpected status from PUT request to https://r.example.com/v2/team/app/manifests/v1: 429 Too Many Requests")
	f.Add(`failed to do request: Put "https://r.example.com/v2/aa/blobs/uploads/1": EOF`)
	f.Fuzz(func(t *testing.T, text string) {
		fault, ok := faultIn(text)
		if !ok {
			return
		}
		if !strings.Contains(text, strings.TrimPrefix(fault.text, hostOf(fault)+": ")) {
			t.Errorf("%q is not in %q", fault.text, text)
		}
		if ref, ok := fault.reference(nil); ok && ref.Context().RegistryStr() == "" {
			t.Errorf("%q names no registry: %s", text, ref)
		}
	})
}

func hostOf(f fault) string {
	if f.url == nil {
		return ""
	}
	return f.url.Host
}

func TestCaches(t *testing.T) {
	env := map[string]string{}
	c := New(ClientOptions{Getenv: func(name string) string { return env[name] }})
	for name, tc := range map[string]struct {
		field string
		cache Cache
		want  string
	}{
		"registry":        {cacheTo, Cache{Type: "registry", Attrs: map[string]string{"ref": "r/a"}}, ""},
		"registry, empty": {cacheTo, Cache{Type: "registry"}, "cacheTo[0]: a cache of type registry needs ref"},
		"folder":          {cacheFrom, Cache{Type: "local", Attrs: map[string]string{"dest": "/x"}}, "cacheFrom[0]: a cache of type local needs src"},
		"folder, to":      {cacheTo, Cache{Type: "local", Attrs: map[string]string{"src": "/x"}}, "cacheTo[0]: a cache of type local needs dest"},
		"inline":          {cacheTo, Cache{Type: "inline"}, ""},
		"from inline":     {cacheFrom, Cache{Type: "inline"}, "cacheFrom[0]: a cache of type inline is part of an image"},
		"unknown":         {cacheTo, Cache{Type: "ftp"}, `cacheTo[0]: type "ftp": expected one of registry, inline, local, gha, s3, azblob`},
		"actions":         {cacheTo, Cache{Type: "gha"}, "cacheTo[0]: a cache of type gha needs url, or the environment variable ACTIONS_RESULTS_URL"},
		"actions, token":  {cacheTo, Cache{Type: "gha", Attrs: map[string]string{"url": "x"}}, "cacheTo[0]: a cache of type gha needs token"},
		"s3":              {cacheTo, Cache{Type: "s3", Attrs: map[string]string{"bucket": "b"}}, ""},
	} {
		_, err := c.caches(tc.field, []Cache{tc.cache})
		if (tc.want == "") != (err == nil) || err != nil && !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	env = map[string]string{"ACTIONS_RESULTS_URL": "https://results", "ACTIONS_RUNTIME_TOKEN": "t0ken", "ACTIONS_CACHE_SERVICE_V2": "true"}
	given := Cache{Type: "gha", Attrs: map[string]string{"scope": "s"}}
	list, err := c.caches(cacheTo, []Cache{given})
	must(t, err)
	want := map[string]string{"scope": "s", "url": "https://results", "url_v2": "https://results", "token": "t0ken"}
	if got := list[0].Attrs; !mapsEqual(got, want) || len(given.Attrs) != 1 {
		t.Errorf("attributes: %v; those given: %v", got, given.Attrs)
	}
	if got := secretValues(list...); !slices.Equal(got, []string{"t0ken"}) {
		t.Errorf("secrets: %v", got)
	}
}

func mapsEqual(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k := range a {
		if a[k] != b[k] {
			return false
		}
	}
	return true
}

func TestOneWriterOfALocalCache(t *testing.T) {
	var f folders
	cache := []Cache{{Type: "local", Attrs: map[string]string{"dest": "/a"}}, {Type: "local", Attrs: map[string]string{"dest": "/a/"}}, {Type: "inline"}}
	done, err := f.take(t.Context(), cache)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := f.take(ctx, cache); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("two at once: %v", err)
	}
	done()
	done, err = f.take(t.Context(), cache)
	must(t, err)
	done()
}

// stored makes a store with an image, as a daemon would fill it.
func stored(t *testing.T, img v1.Image) *fetched {
	t.Helper()
	s, err := newStore(filepath.Join(t.TempDir(), "new"))
	must(t, err)
	_, err = layout.Write(s.dir, mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: img}))
	must(t, err)
	desc, err := partial.Descriptor(img)
	must(t, err)
	f := &fetched{store: s, desc: *desc}
	f.blobs, err = closure(s, f.desc)
	must(t, err)
	return f
}

func TestLayoutIsMended(t *testing.T) {
	img, err := random.Image(500, 2)
	must(t, err)
	f := stored(t, img)
	dir := t.TempDir()
	digest := f.desc.Digest.String()
	look := func(want string) {
		t.Helper()
		if got, err := LayoutDigest(dir, "t"); err != nil || got != want {
			t.Errorf("the layout has %q, %v; expected %q", got, err, want)
		}
	}
	must(t, f.addTo(t.Context(), dir, "t"))
	look(digest)
	blob := filepath.Join(dir, "blobs", "sha256", f.blobs[0].Digest.Hex)
	must(t, os.Truncate(blob, 10))
	look("")
	must(t, f.addTo(t.Context(), dir, "t"))
	look(digest)
	must(t, os.Remove(blob))
	look("")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.addTo(ctx, dir, "t"); !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".strake-*"))
	must(t, err)
	if len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	must(t, os.WriteFile(filepath.Join(dir, "index.json"), []byte("no JSON"), 0o644))
	if _, err := LayoutDigest(dir, "t"); err == nil || !strings.Contains(err.Error(), "expected the index of an OCI layout") {
		t.Errorf("error: %v", err)
	}
	if err := f.addTo(t.Context(), dir, "t"); err == nil {
		t.Error("a foreign file was replaced")
	}
}

func TestManyWriteOneLayout(t *testing.T) {
	dir := t.TempDir()
	var group sync.WaitGroup
	tags := []string{"a", "b", "c", "d", "e", "f"}
	errs := make([]error, len(tags))
	for i, tag := range tags {
		img, err := random.Image(100, 1)
		must(t, err)
		f := stored(t, img)
		group.Go(func() { errs[i] = f.addTo(t.Context(), dir, tag) })
	}
	group.Wait()
	must(t, errs...)
	for _, tag := range tags {
		if got, err := LayoutDigest(dir, tag); err != nil || got == "" {
			t.Errorf("%s: %q, %v", tag, got, err)
		}
	}
}

func TestArchiveIsWhole(t *testing.T) {
	img, err := random.Image(5000, 2)
	must(t, err)
	f := stored(t, img)
	file := filepath.Join(t.TempDir(), "new", "a.tar")
	must(t, f.archive(t.Context(), file, "t"))
	data, err := os.ReadFile(file)
	must(t, err)
	if got, err := archiveDigest(bytes.NewReader(data), "t"); err != nil || got != f.desc.Digest.String() {
		t.Errorf("%q, %v", got, err)
	}
	for _, n := range []int{0, 10, 512, 3000, len(data) - 3000, len(data) - 2000} {
		if got, err := archiveDigest(bytes.NewReader(data[:n]), "t"); err == nil && got != "" {
			t.Errorf("%d bytes of an archive are taken for the whole", n)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.archive(ctx, file, "other"); !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v", err)
	}
	if again, err := os.ReadFile(file); err != nil || !bytes.Equal(again, data) {
		t.Errorf("a failed write changed the archive: %v", err)
	}
	must(t, os.WriteFile(file, []byte("hello"), 0o644))
	if _, err := ArchiveDigest(file, "t"); err == nil || !strings.Contains(err.Error(), file+": expected a tar archive of an OCI layout") {
		t.Errorf("error: %v", err)
	}
}

func FuzzArchiveDigest(f *testing.F) {
	f.Add([]byte("hello"), "t")
	img, err := random.Image(10, 1)
	if err != nil {
		f.Fatal(err)
	}
	s, err := newStore(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	if _, err := layout.Write(s.dir, mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: img})); err != nil {
		f.Fatal(err)
	}
	desc, err := partial.Descriptor(img)
	if err != nil {
		f.Fatal(err)
	}
	whole := &fetched{store: s, desc: *desc}
	if whole.blobs, err = closure(s, *desc); err != nil {
		f.Fatal(err)
	}
	file := filepath.Join(f.TempDir(), "a.tar")
	if err := whole.archive(f.Context(), file, "t"); err != nil {
		f.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data, "t")
	f.Fuzz(func(t *testing.T, data []byte, tag string) {
		digest, err := archiveDigest(bytes.NewReader(data), tag)
		if err != nil || digest == "" {
			return
		}
		if _, err := v1.NewHash(digest); err != nil {
			t.Errorf("%q is no digest", digest)
		}
	})
}

func TestNamedContextsAreChecked(t *testing.T) {
	outside := t.TempDir()
	buildkittest.Write(t, outside, map[string]string{"secret": "s"})
	for name, c := range map[string]struct {
		name    string
		context Context
		want    string
	}{
		"no folder":        {"a", Context{Folder: "nope"}, "named context a: nope: no such file or folder"},
		"a file":           {"a", Context{Folder: "Dockerfile"}, "named context a: Dockerfile: expected a folder, found a file"},
		"outside":          {"a", Context{Folder: "link"}, "named context a: link: leads out of the App's folder"},
		"dots":             {"a", Context{Folder: "../x"}, "named context a: ../x: leads out of the App's folder"},
		"name":             {"A B", Context{Folder: "."}, "named context A B: the name has to have the form of an image's"},
		"URL":              {"a", Context{URL: "ftp://x"}, "named context a: expected a URL that begins with docker-image://, http://"},
		"layout's form":    {"a", Context{Layout: "images"}, `named context a: OCI layout "images": expected a folder and the tag or digest of an image, as in images:latest`},
		"no layout":        {"a", Context{Layout: "nope:1"}, "named context a: nope: expected an OCI layout, found no index.json in it"},
		"no such tag":      {"a", Context{Layout: "images:2"}, "named context a: the OCI layout images has no image with the tag 2, but 1"},
		"bad digest":       {"a", Context{Layout: "images@sha256:12"}, "expected @sha256: and 64 hex digits"},
		"no such digest":   {"a", Context{Layout: "images@sha256:" + digest64}, "the OCI layout images has no sha256:" + digest64},
		"layout's content": {"a", Context{Layout: "broken:1"}, "broken/index.json: expected the index of an OCI layout"},
		"blob is outside":  {"a", Context{Layout: "images:1"}, "leads out of the App's folder"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			buildkittest.Write(t, dir, map[string]string{
				"Dockerfile": "FROM scratch\n", "broken/index.json": "<html>", "images/blobs/sha256/x": "",
				"images/index.json": `{"manifests": [{"digest": "sha256:` + strings.Repeat("b", 64) + `", "annotations": {"org.opencontainers.image.ref.name": "1"}}]}`,
			})
			must(t, os.Symlink(outside, filepath.Join(dir, "link")))
			must(t, os.Symlink(filepath.Join(outside, "secret"), filepath.Join(dir, "images/blobs/sha256", strings.Repeat("b", 64))))
			_, err := Load(t.Context(), Source{
				Root: buildkittest.Root(t, dir), Context: ".", Options: Options{Contexts: map[string]Context{c.name: c.context}},
			}, "0")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error: %v", err)
			}
		})
	}
}

func TestDigestOfNamedContexts(t *testing.T) {
	parts := func(contexts map[string]Context) string {
		b, err := load(t, map[string]string{"Dockerfile": "FROM scratch\n", "lib/a": "x", "other/a": "x", "lib/.dockerignore": "b\n", "lib/b": "y", "other/.dockerignore": "b\n"}, Source{Options: Options{Contexts: contexts}})
		must(t, err)
		return b.Parts()[PartContexts]
	}
	if a, b := parts(map[string]Context{"n": {Folder: "lib"}}), parts(map[string]Context{"n": {Folder: "other"}}); a != b || a == "" {
		t.Errorf("equal content, %s and %s", a, b)
	}
	if a, b := parts(map[string]Context{"n": {Folder: "lib"}}), parts(map[string]Context{"m": {Folder: "lib"}}); a == b {
		t.Error("the name doesn't count")
	}
	if a, b := parts(map[string]Context{"n": {URL: "https://me:one@example.com/a.git"}}), parts(map[string]Context{"n": {URL: "https://example.com/a.git"}}); a != b {
		t.Error("the password counts")
	}
	if a, b := parts(map[string]Context{"n": {URL: "https://example.com/a.git#v1"}}), parts(map[string]Context{"n": {URL: "https://example.com/a.git#v2"}}); a == b {
		t.Error("the reference doesn't count")
	}
}

func FuzzLayoutReference(f *testing.F) {
	f.Add("dir:tag", []byte(`{"manifests":[{"digest":"sha256:`+digest64+`","annotations":{"org.opencontainers.image.ref.name":"tag"}}]}`))
	f.Add("dir@sha256:"+digest64, []byte("{}"))
	f.Fuzz(func(t *testing.T, ref string, index []byte) {
		dir, tag, digest, err := splitLayout(ref)
		if err != nil {
			return
		}
		if dir == "" || (tag == "") == (digest == "") || !strings.HasPrefix(ref, dir) {
			t.Errorf("%q: folder %q, tag %q, digest %q", ref, dir, tag, digest)
		}
		if desc, tags, err := tagged(index, tag); err == nil && desc != nil && !slices.Contains(tags, tag) {
			t.Errorf("%q is not among %q", tag, tags)
		}
	})
}
