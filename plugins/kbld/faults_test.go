package kbld_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/internal/registry"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

// A registry's fault has its own outcome, whether it hits a reference or the question whether a source
// has been built already, and nothing is half done then: no manifests, no entry of the lock, no event
// of success, no build.
func TestRegistryFaults(t *testing.T) {
	status := func(code int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
		}
	}
	const image, other = "application/vnd.oci.image.manifest.v1+json", "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	body := func(contentType, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				w.WriteHeader(http.StatusMethodNotAllowed)
				return
			}
			w.Header().Set("Content-Type", contentType)
			_, _ = io.WriteString(w, text)
		}
	}
	for name, c := range map[string]struct {
		answer     http.HandlerFunc
		want, hint string
	}{
		"401":              {status(http.StatusUnauthorized), "no access to HOST/app:TAG: the registry answers 401 Unauthorized", "log in with a docker config"},
		"403":              {status(http.StatusForbidden), "no access to HOST/app:TAG: the registry answers 403 Forbidden", "log in with a docker config"},
		"404":              {status(http.StatusNotFound), "there is no HOST/app:TAG: the registry answers 404 Not Found", "check the name"},
		"429":              {status(http.StatusTooManyRequests), "can't read HOST/app:TAG: the registry answers 429 Too Many Requests", "--registry-mirror HOST=MIRROR"},
		"429 for a moment": {status(http.StatusTooManyRequests, "Retry-After", "0"), "the registry answers 429 Too Many Requests", "limits how often it is asked"},
		"429 for an hour":  {status(http.StatusTooManyRequests, "Retry-After", "3600"), "the registry answers 429 Too Many Requests", "limits how often it is asked"},
		"429 until a date": {status(http.StatusTooManyRequests, "Retry-After", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)), "the registry answers 429 Too Many Requests", "limits how often it is asked"},
		"500":              {status(http.StatusInternalServerError), "can't read HOST/app:TAG: the registry answers 500 Internal Server Error", ""},
		"503":              {status(http.StatusServiceUnavailable), "can't read HOST/app:TAG: the registry answers 503 Service Unavailable", ""},
		"closes":           {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "can't read HOST/app:TAG: registry HOST has closed the connection without an answer", ""},
		"silent":           {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "can't read HOST/app:TAG: registry HOST has accepted a request, but hasn't answered for 200ms", ""},
		"no digest":        {status(http.StatusOK), "registry HOST answers with 0 bytes that are no JSON", ""},
		"web page":         {body("text/html", "<html>log in</html>"), "registry HOST answers with a web page, which is no manifest", ""},
		"truncated":        {body(image, `{"schemaVersion": 2, "config`), "registry HOST answers with 28 bytes that are no JSON", ""},
		"redirects":        {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, "registry HOST redirects more than 8 times", ""},
		"no digest at all": {status(http.StatusOK, "Content-Type", image, "Content-Length", "2", "Docker-Content-Digest", "sha256:12"), "can't read HOST/app:TAG: ", ""},
		"broken off": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			if r.Method == http.MethodHead {
				w.WriteHeader(http.StatusMethodNotAllowed)
				return
			}
			_, _ = io.WriteString(w, "{")
		}, "registry HOST has broken off an answer after 1 bytes", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.connect(w.host, registry.Options{Silence: 200 * time.Millisecond})
			w.fault(c.answer)
			fill := func(text, tag string) string { return strings.NewReplacer("HOST", w.host, "TAG", tag).Replace(text) }

			job, result, err := w.run(stagetest.Case{Manifests: deployment("HOST/app:1")})
			if err == nil || !strings.HasPrefix(err.Error(), "image "+w.host+"/app:1: ") || !strings.Contains(err.Error(), fill(c.want, "1")) {
				t.Errorf("error: %v, expected %q", err, fill(c.want, "1"))
			}
			if hint := stages.Hint(err); !strings.Contains(hint, fill(c.hint, "1")) || c.hint == "" && hint != "" {
				t.Errorf("hint: %q, expected %q", hint, c.hint)
			}
			nothingDone(t, job, result)

			// The destination of a source: 404 means that there is something to build, all else is an error.
			job, result, err = w.run(appCase)
			if name == "404" {
				if builds := w.builder.count(); builds != 1 {
					t.Errorf("source: %d builds, expected one", builds)
				}
				return
			}
			if builds := w.builder.count(); err == nil || builds > 0 {
				t.Fatalf("source: error %v and %d builds, expected an error before any", err, builds)
			}
			_, tag, _ := strings.Cut(err.Error(), w.host+"/app:")
			tag, _, _ = strings.Cut(tag, ":")
			if !strings.Contains(err.Error(), fill(c.want, tag)) {
				t.Errorf("source: error: %v, expected %q", err, fill(c.want, tag))
			}
			nothingDone(t, job, result)
		})
	}

	// These are about the image that the lock has.
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"wrong digest": {status(http.StatusOK, "Content-Type", image, "Content-Length", "2", "Docker-Content-Digest", other), "registry HOST says that it has the manifest " + other + " where DIGEST was asked for"},
		"wrong body":   {body(image, "{}"), "registry HOST answers with the manifest sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a where DIGEST was asked for"},
		"401":          {status(http.StatusUnauthorized), "no access to HOST/app@DIGEST"},
		"500":          {status(http.StatusInternalServerError), "can't read HOST/app@DIGEST: the registry answers 500"},
	} {
		t.Run("locked, "+name, func(t *testing.T) {
			w := newWorld(t)
			_, built := w.must(appCase)
			w.builder.count()
			_, digest, _ := strings.Cut(built.Images[0].Image, "@")
			w.fault(c.answer)
			for _, enforce := range []bool{false, true} {
				again := appCase
				again.Lock = lockOf(built, enforce)
				job, result, err := w.run(again)
				want := strings.NewReplacer("HOST", w.host, "DIGEST", digest).Replace(c.want)
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error: %v, expected %q", err, want)
				}
				if builds := w.builder.count(); builds > 0 {
					t.Errorf("%d builds", builds)
				}
				nothingDone(t, job, result)
			}
		})
	}
}

// appCase builds an app.
var appCase = stagetest.Case{
	Config:    in("sources: [{image: app, path: .}]\ndestinations: [{image: app, newImage: HOST/app}]"),
	Manifests: deployment("app"), Files: map[string]string{"Dockerfile": "FROM scratch\n"},
}

// fault lets a handler answer all requests for manifests.
func (w *world) fault(answer http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/manifests/") {
			return false
		}
		answer(rw, r)
		return true
	}
}

// nothingDone makes sure that a failed run has left nothing that looks like success.
func nothingDone(t *testing.T, job *stages.Job, result stages.Result) {
	t.Helper()
	if result.Manifests != nil || len(result.Images) > 0 {
		t.Errorf("a failed run has the result %s %v", result.Manifests, result.Images)
	}
	for _, e := range stagetest.Recorded(job).Events() {
		if e.Image != nil || e.Change != nil {
			t.Errorf("a failed run tells of %+v", e)
		}
	}
}

// A registry with a passing fault is asked again, and nobody sees anything of it.
func TestPassingFaults(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"429": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		"429 with a date": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", time.Now().Add(-time.Second).UTC().Format(http.TimeFormat))
			w.WriteHeader(http.StatusTooManyRequests)
		},
		"500":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"silent": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"closes": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.connect(w.host, registry.Options{Silence: 200 * time.Millisecond})
			w.push("app:1", "app")
			for _, c := range []stagetest.Case{{Manifests: deployment("HOST/app:1")}, appCase} {
				var once sync.Once
				w.answer = func(rw http.ResponseWriter, r *http.Request) (answered bool) {
					if strings.Contains(r.URL.Path, "/manifests/") {
						once.Do(func() {
							answered = true
							answer(rw, r)
						})
					}
					return answered
				}
				w.must(c)
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

// One ping for a registry and one HEAD for a reference is all that a run costs, also when each
// reference has a repository of its own; with everything locked, it costs nothing.
func TestOneRequestPerReference(t *testing.T) {
	const count = 200
	w := newWorld(t)
	var refs []string
	for i := range count {
		ref := fmt.Sprintf("many%d:%d", i, i)
		w.push(ref, ref)
		refs = append(refs, "HOST/"+ref)
	}
	w.connect(w.host, registry.Options{})
	w.seen()
	_, result := w.must(stagetest.Case{Manifests: deployment(append(refs, refs...)...)})
	requests := w.seen()
	heads := slices.DeleteFunc(slices.Clone(requests), func(r string) bool { return !strings.HasPrefix(r, "HEAD ") })
	if len(heads) != count || len(requests) != count+1 {
		t.Errorf("%d requests, %d of them HEAD; expected one ping and one HEAD for each of %d", len(requests), len(heads), count)
	}

	w.connect(w.host, registry.Options{})
	_, locked := w.must(stagetest.Case{Manifests: deployment(refs...), Lock: lockOf(result, true)})
	if requests := w.seen(); len(requests) > 0 {
		t.Errorf("with everything locked: %d requests: %v", len(requests), requests)
	}
	if diff := cmp.Diff(result.Images, locked.Images, sameImages); diff != "" {
		t.Errorf("with everything locked (-before +after):\n%s", diff)
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
