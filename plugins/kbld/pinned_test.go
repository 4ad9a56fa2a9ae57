package kbld_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"strake.dev/strake/internal/buildkit/buildkittest"
	"strake.dev/strake/internal/git/gittest"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

// elsewhere is a base image, a file and a repository that a Dockerfile names, all of which can move.
type elsewhere struct {
	s    *sandbox
	web  *httptest.Server
	repo *gittest.Repo

	mu       sync.Mutex
	file     string
	requests []string
}

func newElsewhere(t *testing.T, s *sandbox) *elsewhere {
	t.Helper()
	e := &elsewhere{s: s, file: "first"}
	root := t.TempDir()
	e.repo = gittest.New(t, root, "code")
	e.repo.Write("dir/code.txt", "first", 0o644)
	e.repo.Commit("first")
	git := gittest.Handler(t, root)
	e.web = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.requests = append(e.requests, r.Method+" "+r.URL.Path)
		if r.URL.Path != "/file" {
			git.ServeHTTP(w, r)
			return
		}
		tag := `"` + e.file + `"`
		w.Header().Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write([]byte(e.file))
	}))
	t.Cleanup(e.web.Close)
	return e
}

// move lets all three be something else.
func (e *elsewhere) move(t *testing.T) {
	t.Helper()
	e.mu.Lock()
	e.file = "second"
	e.mu.Unlock()
	e.repo.Write("dir/code.txt", "second", 0o644)
	e.repo.Commit("second")
	// Busybox pushes the version under a tag of its own; the base's tag then moves to it.
	moved := buildkittest.Busybox(t, e.s.repo, "2")
	image, err := remote.Image(reference(t, moved))
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(reference(t, e.s.base), image); err != nil {
		t.Fatal(err)
	}
}

func reference(t *testing.T, text string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(text)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// A locked build takes what the lock has pinned, however the world has moved, and nothing else.
func TestPinnedBuild(t *testing.T) {
	s := newSandbox(t)
	e := newElsewhere(t, s)
	cache := t.TempDir()
	c := stagetest.Case{
		Config:    "config: {sources: [{image: app, path: .}], destinations: [{image: app, newImage: REPO/app}]}",
		Manifests: deployment("app"),
		Files: map[string]string{"Dockerfile": "FROM BASE\nADD " + e.web.URL + "/file /file\nADD " + e.web.URL +
			"/code/.git#main:dir /code\nRUN cat /file /code/code.txt; ls /version-*\n"},
		Setup: func(_ testing.TB, job *stages.Job) { job.Cache = cache },
	}
	_, first := s.must(c)
	digest := first.Images[0].Image
	pins, err := schema.PinsOf(first.Images[0])
	if err != nil || len(pins) != 3 {
		t.Fatalf("pins: %v, %v", pins, err)
	}

	e.move(t)
	for _, ref := range s.tags(s.repo + "/app") {
		lose(t, s.repo+"/app", ref)
	}
	c.Lock = lockOf(first, true)
	e.requests = nil
	job, locked := s.must(c)
	if got := images(job)["app"]; got.Action != "built" || locked.Images[0].Image != digest {
		t.Errorf("locked: %+v, expected a build that gives %s", got, digest)
	}

	c.Lock = lockOf(first, false)
	job, moved := s.must(c)
	if got := images(job)["app"]; got.Action != "built" || moved.Images[0].Image == digest {
		t.Errorf("unlocked: %+v, expected another image than %s", got, digest)
	}

	t.Run("another pin makes another input", func(t *testing.T) {
		entry := first.Images[0]
		entry.Annotations = maps.Clone(entry.Annotations)
		text, err := schema.PrintPins(pins[1:])
		if err != nil {
			t.Fatal(err)
		}
		entry.Annotations[schema.AnnotationBuildPins] = text
		c := c
		c.Lock = &stages.Lock{Enforce: true, File: schema.Lock{Images: []schema.LockedImage{entry}}}
		var stale *stages.LockError
		if _, _, err = s.run(t.Context(), s.address, c); !errors.As(err, &stale) {
			t.Errorf("error: %v, expected a LockError", err)
		}
	})
}

// What can't be pinned builds, but not again from a lock.
func TestNothingUnpinnedFromALock(t *testing.T) {
	s := newSandbox(t)
	e := newElsewhere(t, s)
	c := stagetest.Case{
		Config:    "config: {sources: [{image: app, path: .}], destinations: [{image: app, newImage: REPO/app}]}",
		Manifests: deployment("app"),
		// Credentials must not get into a lock file.
		Files: map[string]string{"Dockerfile": "FROM scratch\nADD " + strings.Replace(e.web.URL, "http://", "http://user:hunter2@", 1) + "/file /\n"},
	}
	_, first := s.must(c)
	if text := fmt.Sprint(first.Images); strings.Contains(text, "hunter2") || strings.Contains(text, "/file") {
		t.Errorf("lock: %s", text)
	}
	c.Lock = lockOf(first, true)
	s.must(c)
	for _, tag := range s.tags(s.repo + "/app") {
		lose(t, s.repo+"/app", tag)
	}
	_, _, err := s.run(t.Context(), s.address, c)
	if err == nil || !strings.Contains(err.Error(), "/file is not pinned in the lock file") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error: %v", err)
	}
	if !strings.Contains(stages.Hint(err), "strake lock update") {
		t.Errorf("hint: %q", stages.Hint(err))
	}
	t.Log(err)
}

// lose deletes a manifest, if it is there: a tag, or with @ a digest.
func lose(t *testing.T, repo, ref string) {
	t.Helper()
	sep := ":"
	if strings.HasPrefix(ref, "@") {
		sep = ""
	}
	r := reference(t, repo+sep+ref)
	desc, err := remote.Head(r)
	if err != nil {
		return
	}
	if err := remote.Delete(r.Context().Digest(desc.Digest.String())); err != nil {
		t.Fatal(err)
	}
}
