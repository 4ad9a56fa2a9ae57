package kbld_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

func TestRegistryFaults(t *testing.T) {
	status := func(code int) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/manifests/") {
				return false
			}
			w.WriteHeader(code)
			return true
		}
	}
	cut := func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/manifests/") {
			return false
		}
		panic(http.ErrAbortHandler)
	}
	for name, c := range map[string]struct {
		answer     func(http.ResponseWriter, *http.Request) bool
		want, hint string
	}{
		"401": {status(http.StatusUnauthorized), "no access to HOST/app:1", "log in with a docker config"},
		"403": {status(http.StatusForbidden), "no access to HOST/app:1", "log in with a docker config"},
		"404": {status(http.StatusNotFound), "there is no HOST/app:1", "check the name"},
		"429": {status(http.StatusTooManyRequests), "429", ""},
		"500": {status(http.StatusInternalServerError), "500", ""},
		"cut": {cut, "EOF", ""},
		"no digest": {func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/manifests/") {
				return false
			}
			w.WriteHeader(http.StatusOK)
			return true
		}, "no manifest", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.answer = c.answer
			_, _, err := w.run(stagetest.Case{Manifests: deployment("HOST/app:1")})
			if err == nil || !strings.Contains(err.Error(), strings.ReplaceAll(c.want, "HOST", w.host)) || !strings.HasPrefix(err.Error(), "image "+w.host+"/app:1: ") {
				t.Errorf("error: %v, expected %q", err, c.want)
			}
			if hint := stages.Hint(err); !strings.Contains(hint, c.hint) {
				t.Errorf("hint: %q, expected %q", hint, c.hint)
			}
			t.Log(err)

			// The destination of a source: 404 means that there is something to build, all else is an error.
			_, _, err = w.run(stagetest.Case{
				Config:    in("sources: [{image: app, path: .}]\ndestinations: [{image: app, newImage: HOST/app}]"),
				Manifests: deployment("app"), Files: map[string]string{"Dockerfile": "FROM scratch\n"},
			})
			if builds := w.builder.count(); name != "404" && (err == nil || builds > 0) {
				t.Errorf("source: error %v and %d builds, expected an error before any", err, builds)
			} else if name == "404" && builds != 1 {
				t.Errorf("source: %d builds, expected one", builds)
			}
		})
	}
}

func TestAllErrorsAtOnceInOrder(t *testing.T) {
	w := newWorld(t)
	_, _, err := w.run(stagetest.Case{Manifests: deployment("HOST/c:1", "HOST/a:1", "HOST/b:1")})
	var refs []string
	for line := range strings.Lines(err.Error()) {
		ref, _, _ := strings.Cut(strings.TrimPrefix(line, "image "+w.host+"/"), ":")
		refs = append(refs, ref)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, refs); diff != "" {
		t.Errorf("errors (-want +got):\n%s\n%v", diff, err)
	}
}

func TestOneRequestPerReference(t *testing.T) {
	w := newWorld(t)
	var refs []string
	for i := range 20 {
		ref := fmt.Sprintf("many:%d", i)
		w.push(ref, ref)
		refs = append(refs, "HOST/"+ref)
	}
	w.seen()
	w.must(stagetest.Case{Manifests: deployment(append(refs, refs...)...)})
	requests := w.seen()
	heads := slices.DeleteFunc(slices.Clone(requests), func(r string) bool { return !strings.HasPrefix(r, "HEAD ") })
	if len(heads) != 20 || len(requests) != 21 {
		t.Errorf("%d requests, %d of them HEAD; expected one ping and one HEAD for each of 20", len(requests), len(heads))
	}
}

func TestSourceErrors(t *testing.T) {
	for name, c := range map[string]struct {
		config string
		files  map[string]string
		want   string
		hint   string
	}{
		"no destination":  {"sources: [{image: x/app, path: .}]", nil, "image x/app: has a source, but no destination", "destinations: [{image: x/app, newImage: registry.example.com/team/app}]"},
		"bad destination": {"sources: [{image: x/app, path: .}]\ndestinations: [{image: x/app, newImage: 'a/b:1'}]", nil, `destination "a/b:1" is not the name of a repository`, "neither tag nor digest"},
		"bad tag":         {"sources: [{image: x/app, path: .}]\ndestinations: [{image: x/app, newImage: 'a/b', tags: ['a b']}]", nil, "destination a/b", ""},
		"no Dockerfile":   {"sources: [{image: x/app, path: .}]\ndestinations: [{image: x/app, newImage: HOST/team/b}]", nil, "image x/app: Dockerfile: no such file or folder", ""},
		"no folder":       {"sources: [{image: x/app, path: src}]\ndestinations: [{image: x/app, newImage: HOST/team/b}]", nil, "src: no such file or folder", ""},
		"path is a file":  {"sources: [{image: x/app, path: f}]\ndestinations: [{image: x/app, newImage: HOST/team/b}]", map[string]string{"f": ""}, "f: expected a folder", ""},
		"bad dockerignore": {
			"sources: [{image: x/app, path: .}]\ndestinations: [{image: x/app, newImage: HOST/team/b}]",
			map[string]string{"Dockerfile": "FROM scratch", ".dockerignore": "[a-\n"},
			".dockerignore", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			_, _, err := w.run(stagetest.Case{Config: in(c.config), Manifests: deployment("x/app"), Files: c.files})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(stages.Hint(err), c.hint) {
				t.Errorf("error: %v (hint: %s)", err, stages.Hint(err))
			}
			if w.builder.count() > 0 {
				t.Error("something was built")
			}
		})
	}
}

func TestBuildsSideBySide(t *testing.T) {
	w := newWorld(t)
	c := stagetest.Case{Files: map[string]string{}}
	var sources, destinations, refs []string
	for i := range 4 {
		ref := fmt.Sprintf("app%d", i)
		sources = append(sources, fmt.Sprintf("- {image: %s, path: '%d'}", ref, i))
		destinations = append(destinations, fmt.Sprintf("- {image: %s, newImage: HOST/%s}", ref, ref))
		c.Files[fmt.Sprintf("%d/Dockerfile", i)] = fmt.Sprintf("FROM scratch\nLABEL n=%d\n", i)
		refs = append(refs, ref)
	}
	c.Config = in("sources:\n" + strings.Join(sources, "\n") + "\ndestinations:\n" + strings.Join(destinations, "\n"))
	c.Manifests = deployment(refs...)

	// All four have to be under way before one may end.
	arrived := make(chan struct{}, 4)
	w.builder.hook = func(ctx context.Context) error {
		arrived <- struct{}{}
		for len(arrived) < 4 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Millisecond):
			}
		}
		return nil
	}
	w.must(c)

	t.Run("first failure ends the others", func(t *testing.T) {
		w := newWorld(t)
		failure := errors.New("broken")
		first := make(chan struct{}, 1)
		first <- struct{}{}
		w.builder.hook = func(ctx context.Context) error {
			select {
			case <-first:
				return failure
			default:
			}
			<-ctx.Done()
			return ctx.Err()
		}
		if _, _, err := w.run(c); !errors.Is(err, failure) {
			t.Errorf("error: %v", err)
		}
	})
	t.Run("a panic becomes an error", func(t *testing.T) {
		w := newWorld(t)
		w.builder.hook = func(context.Context) error { panic("oh no") }
		if _, _, err := w.run(c); err == nil || !strings.Contains(err.Error(), "oh no") {
			t.Errorf("error: %v", err)
		}
	})
}

// kbld sorts images by URL alone, so that equal ones come in the random order of a mapping.
func TestStableAnnotations(t *testing.T) {
	w := newWorld(t)
	var refs strings.Builder
	refs.WriteString("kind: X\napiVersion: v1\nspec:\n")
	for i := range 20 {
		w.push(fmt.Sprintf("same:%d", i), "same")
		fmt.Fprintf(&refs, "  k%d: {image: 'HOST/same:%d'}\n", i, i)
	}
	_, first := w.must(stagetest.Case{Manifests: refs.String()})
	for range 10 {
		_, again := w.must(stagetest.Case{Manifests: refs.String()})
		if string(first.Manifests) != string(again.Manifests) {
			t.Fatal("annotations differ from run to run")
		}
	}
}
