package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"

	"strake.dev/strake/internal/registry"
)

// silence is how long the registries of tests may be silent.
const silence = 200 * time.Millisecond

func impatientClient(t *testing.T) *registry.Client {
	t.Helper()
	c, err := registry.New(registry.Options{FirstWait: time.Millisecond, Silence: silence})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Every way in which a registry can answer wrongly has its own words, and none of them becomes an image.
func TestFaults(t *testing.T) {
	digest, err := empty.Image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := empty.Image.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	other := "sha256:" + strings.Repeat("0", 64)
	body := func(contentType, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", contentType)
			if r.Method == http.MethodHead {
				w.WriteHeader(http.StatusMethodNotAllowed)
				return
			}
			_, _ = io.WriteString(w, text)
		}
	}
	const image = "application/vnd.oci.image.manifest.v1+json"
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		ref    string
		get    bool
		want   string
		// tries is how many requests there are; 0 is any number.
		tries int
	}{
		"never answers": {
			answer: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			ref:    ":1", want: "registry HOST has accepted a request, but hasn't answered for 200ms", tries: 2,
		},
		"stops in the middle": {answer: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"schemaVersion": 2`)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, ref: ":1", get: true, want: "registry HOST has stopped in the middle of an answer: nothing came for 200ms after 19 bytes", tries: 2},
		"breaks off": {answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"schemaVersion": 2`)
		}, ref: ":1", get: true, want: "registry HOST has broken off an answer after 19 bytes", tries: 2},
		"closes": {
			answer: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			ref:    ":1", want: "registry HOST has closed the connection without an answer",
		},
		"web page": {
			answer: body("text/html; charset=utf-8", "<html>please log in</html>"),
			ref:    ":1", want: "registry HOST answers with a web page, which is no manifest", tries: 2,
		},
		"web page to HEAD": {answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html>please log in</html>")
		}, ref: ":1", want: "answers with a web page, which is no manifest", tries: 2},
		"no JSON":   {answer: body(image, `{"schemaVersion": `), ref: ":1", want: "registry HOST answers with 18 bytes that are no JSON, so no manifest", tries: 2},
		"nothing":   {answer: body(image, ""), ref: ":1", want: "registry HOST answers with 0 bytes that are no JSON", tries: 2},
		"huge":      {answer: body(image, `"`+strings.Repeat("x", 9<<20)+`"`), ref: ":1", want: "registry HOST answers with more than the 8 MiB that a manifest may have", tries: 2},
		"redirects": {answer: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, ref: ":1", want: "registry HOST redirects more than 8 times: /v2/app/manifests/1", tries: 9},
		"redirects by digest": {
			answer: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) },
			ref:    "@" + digest.String(), get: true, want: "redirects more than 8 times", tries: 9,
		},
		"another digest to HEAD": {answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Docker-Content-Digest", other)
			w.Header().Set("Content-Type", image)
			w.Header().Set("Content-Length", "2")
		}, ref: "@" + digest.String(), want: "registry HOST says that it has the manifest " + other + " where " + digest.String() + " was asked for", tries: 1},
		"another manifest": {answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Docker-Content-Digest", digest.String())
			w.Header().Set("Content-Type", image)
			_, _ = io.WriteString(w, "{}")
		}, ref: "@" + digest.String(), get: true, want: "registry HOST answers with the manifest sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a where " + digest.String() + " was asked for", tries: 1},
		"another digest in the header": {answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Docker-Content-Digest", other)
			w.Header().Set("Content-Type", image)
			_, _ = w.Write(manifest)
		}, ref: "@" + digest.String(), get: true, want: "registry HOST says that it answers with the manifest " + other, tries: 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			s.set(c.answer)
			ref := s.ref(t, "app"+c.ref)
			client := impatientClient(t)
			began := time.Now()
			var err error
			if c.get {
				_, err = client.Get(t.Context(), ref)
			} else {
				_, err = client.Head(t.Context(), ref)
			}
			if err == nil {
				t.Fatal("no error")
			}
			if want := strings.ReplaceAll(c.want, "HOST", s.host); !strings.Contains(registry.Reason(err), want) {
				t.Errorf("error: %v\nexpected: %s", registry.Reason(err), want)
			}
			if strings.Contains(registry.Reason(err), "/v2/") && !strings.Contains(c.want, "redirects") {
				t.Errorf("the error shows the request: %s", registry.Reason(err))
			}
			if seen := s.seen(); c.tries > 0 && len(seen) != c.tries {
				t.Errorf("%d requests, expected %d: %v", len(seen), c.tries, seen)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
			if registry.NotFound(err) || registry.Denied(err) {
				t.Errorf("%v passes for an answer", err)
			}

			// Nothing of it is remembered.
			s.set(nil)
			if err := client.Push(t.Context(), ref.Context().Tag("1"), empty.Image); err != nil {
				t.Fatal(err)
			}
			if _, err := client.Get(t.Context(), ref); err != nil {
				t.Errorf("after the fault: %v", err)
			}
		})
	}
}

func (s *server) ref(t *testing.T, text string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(s.host + "/" + text)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// A list of tags is checked too.
func TestTagsAreNoWebPage(t *testing.T) {
	s := serve(t)
	s.set(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") })
	s.all = true
	_, err := impatientClient(t).List(t.Context(), s.ref(t, "app:1").Context())
	if err == nil || !strings.Contains(registry.Reason(err), "web page") {
		t.Errorf("error: %v", err)
	}
}

// A transfer may take as long as it likes, as long as bytes come.
func TestSlowIsNotSilent(t *testing.T) {
	s := serve(t)
	tag := s.push(t, "app:1")
	manifest, err := empty.Image.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	s.set(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		step := len(manifest)/8 + 1
		for rest := manifest; len(rest) > 0; rest = rest[min(step, len(rest)):] {
			_, _ = w.Write(rest[:min(step, len(rest))])
			_ = http.NewResponseController(w).Flush()
			time.Sleep(silence / 4)
		}
	})
	began := time.Now()
	if _, err := impatientClient(t).Get(t.Context(), tag); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < silence*3/2 {
		t.Errorf("it took only %v", took)
	}
}

func TestSilenceEndsWithContext(t *testing.T) {
	s := serve(t)
	tag := s.push(t, "app:1")
	asked := make(chan struct{}, 1)
	s.set(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	began := time.Now()
	_, err := newClient(t, nil).Head(ctx, tag)
	if !errors.Is(err, context.Canceled) || time.Since(began) > 5*time.Second {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}

// In one run, a host that doesn't answer is asked for one thing only.
func TestDeadHostIsAskedOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	host := l.Addr().String()
	c, err := registry.New(registry.Options{FirstWait: time.Millisecond, Silence: silence, PlainHTTP: []string{host}})
	if err != nil {
		t.Fatal(err)
	}
	c = c.Memo()
	began := time.Now()
	for i := range 50 {
		ref, err := name.NewTag(fmt.Sprintf("%s/app%d:1", host, i))
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Head(t.Context(), ref)
		if err == nil || !strings.Contains(registry.Reason(err), "registry "+host+" has accepted a request, but hasn't answered") {
			t.Fatalf("error: %v", err)
		}
	}
	if took := time.Since(began); took > 10*silence {
		t.Errorf("50 references took %v", took)
	}
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := l.Addr().String()
	l.Close()
	ref, err := name.NewTag(host + "/app:1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = impatientClient(t).Head(t.Context(), ref)
	if err == nil || !strings.Contains(registry.Reason(err), host) || !strings.Contains(registry.Reason(err), "connection refused") {
		t.Errorf("error: %v", err)
	}
}

// A part of an image that stops coming ends too.
func TestStalledBlob(t *testing.T) {
	s := serve(t)
	tag := s.push(t, "app:1")
	s.all = true
	s.set(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "/blobs/") {
			s.handler.ServeHTTP(w, r)
			return
		}
		_, _ = io.WriteString(w, "{")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	got, err := impatientClient(t).Get(t.Context(), tag)
	if err != nil {
		t.Fatal(err)
	}
	img, err := got.Image()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := img.RawConfigFile(); err == nil || !strings.Contains(registry.Reason(err), "has stopped in the middle of an answer") {
		t.Errorf("error: %v", err)
	}
}
