package registry_test

import (
	"context"
	"errors"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	inprocess "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"strake.dev/strake/internal/registry"
)

// A server is a registry in this process whose answers to manifest requests can be replaced.
type server struct {
	host string
	// handler is the registry itself.
	handler http.Handler

	mu       sync.Mutex
	requests []string
	answer   http.HandlerFunc
	// all lets answer have all requests.
	all bool
}

func serve(t *testing.T) *server {
	s := newServer()
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	s.host = strings.TrimPrefix(h.URL, "http://")
	return s
}

func newServer() *server {
	return &server{handler: inprocess.New(inprocess.Logger(log.New(io.Discard, "", 0)))}
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	answer := s.answer
	if strings.Contains(r.URL.Path, "/manifests/") {
		s.requests = append(s.requests, r.Method)
	} else if !s.all {
		answer = nil
	}
	s.mu.Unlock()
	if answer == nil {
		answer = s.handler.ServeHTTP
	}
	answer(w, r)
}

func (s *server) push(t *testing.T, ref string) name.Tag {
	t.Helper()
	tag, err := name.NewTag(s.host + "/" + ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, empty.Image); err != nil {
		t.Fatal(err)
	}
	s.seen()
	return tag
}

func (s *server) set(answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// seen returns the methods of the manifest requests since the last call.
func (s *server) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.requests
	s.requests = nil
	return seen
}

func newClient(t *testing.T, mirrors map[string][]string) *registry.Client {
	t.Helper()
	c, err := registry.New(registry.Options{FirstWait: time.Millisecond, Mirrors: mirrors})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestHeadRetries(t *testing.T) {
	s := serve(t)
	tag := s.push(t, "app:1")
	for name, c := range map[string]struct {
		answers []int
		header  http.Header
		want    int
		tries   int
	}{
		"429 then fine":       {answers: []int{429}, tries: 2},
		"503 four times":      {answers: []int{503, 502, 500, 504}, tries: 5},
		"500 for ever":        {answers: []int{500, 500, 500, 500, 500, 500, 500}, want: 500, tries: 5},
		"404 is an answer":    {answers: []int{404}, want: 404, tries: 1},
		"401 is an answer":    {answers: []int{401}, want: 401, tries: 1},
		"403 is an answer":    {answers: []int{403}, want: 403, tries: 1},
		"asks for too long":   {answers: []int{429}, header: http.Header{"Retry-After": {"3600"}}, want: 429, tries: 1},
		"asks for a moment":   {answers: []int{429}, header: http.Header{"Retry-After": {"0"}}, tries: 2},
		"asks by date":        {answers: []int{503}, header: http.Header{"Retry-After": {time.Now().Add(-time.Minute).UTC().Format(http.TimeFormat)}}, tries: 2},
		"nonsense is ignored": {answers: []int{503}, header: http.Header{"Retry-After": {"soon"}}, tries: 2},
	} {
		t.Run(name, func(t *testing.T) {
			pass := s.answering(c.answers, c.header)
			defer s.set(nil)
			s.set(pass)
			s.seen()
			_, err := newClient(t, nil).Head(t.Context(), tag)
			if got := len(s.seen()); got != c.tries {
				t.Errorf("%d requests, expected %d", got, c.tries)
			}
			switch {
			case c.want == 0 && err != nil:
				t.Errorf("error: %v", err)
			case c.want == 404 && !registry.NotFound(err), (c.want == 401 || c.want == 403) && !registry.Denied(err), c.want != 0 && err == nil:
				t.Errorf("error: %v, expected status %d", err, c.want)
			}
		})
	}
}

// answering answers with each status once, and then as the registry would.
func (s *server) answering(statuses []int, header http.Header) http.HandlerFunc {
	left := slices.Clone(statuses)
	desc := "sha256:" + strings.Repeat("a", 64)
	return func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		maps.Copy(w.Header(), header)
		if len(left) > 0 {
			w.WriteHeader(left[0])
			left = left[1:]
			return
		}
		w.Header().Set("Docker-Content-Digest", desc)
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		w.Header().Set("Content-Length", "2")
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	s := serve(t)
	tag := s.push(t, "app:1")
	s.set(s.answering([]int{429}, http.Header{"Retry-After": {"1"}}))
	began := time.Now()
	if _, err := newClient(t, nil).Head(t.Context(), tag); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < time.Second {
		t.Errorf("asked again after %v", took)
	}
}

func TestWaitEndsWithContext(t *testing.T) {
	s := serve(t)
	tag := s.push(t, "app:1")
	ctx, cancel := context.WithCancel(t.Context())
	s.set(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "20")
		w.WriteHeader(http.StatusTooManyRequests)
		time.AfterFunc(20*time.Millisecond, cancel)
	})
	began := time.Now()
	_, err := newClient(t, nil).Head(ctx, tag)
	if !errors.Is(err, context.Canceled) || time.Since(began) > 5*time.Second {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}

func TestHeadFallsBackToGet(t *testing.T) {
	s := serve(t)
	tag := s.push(t, "app:1")
	want, err := empty.Image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := empty.Image.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	noHead := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				w.WriteHeader(http.StatusMethodNotAllowed)
				return
			}
			_, _ = io.WriteString(w, body)
		}
	}
	s.set(noHead(string(raw)))
	desc, err := newClient(t, nil).Head(t.Context(), tag)
	if err != nil || desc.Digest != want {
		t.Errorf("got %v, %v", desc, err)
	}
	s.set(noHead("<html>please log in</html>"))
	if desc, err := newClient(t, nil).Head(t.Context(), tag); err == nil || !strings.Contains(err.Error(), "is no manifest") {
		t.Errorf("a login page became %v, %v", desc, err)
	}
}

func TestMemo(t *testing.T) {
	s := serve(t)
	tag := s.push(t, "app:1")
	other := s.push(t, "app:2")
	missing := tag.Context().Tag("missing")
	c := newClient(t, nil).Memo()
	var group sync.WaitGroup
	for range 8 {
		for _, ref := range []name.Tag{tag, other, missing} {
			group.Go(func() {
				if _, err := c.Head(t.Context(), ref); (err != nil) != (ref == missing) {
					t.Error(err)
				}
			})
		}
	}
	group.Wait()
	if seen := s.seen(); len(seen) != 3 {
		t.Errorf("%d requests for three references", len(seen))
	}
	if _, err := c.Memo().Head(t.Context(), tag); err != nil || len(s.seen()) != 1 {
		t.Errorf("another memo shares what the first one knows: %v", err)
	}

	// That one caller gave up is no answer for the others.
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	fresh := newClient(t, nil).Memo()
	if _, err := fresh.Head(cancelled, tag); !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v", err)
	}
	if _, err := fresh.Head(t.Context(), tag); err != nil {
		t.Errorf("after another caller was cancelled: %v", err)
	}
}

// A registry that was down for a moment can be asked again.
func TestOutageIsForgotten(t *testing.T) {
	s := serve(t)
	tag := s.push(t, "app:1")
	down := &outage{down: true}
	c, err := registry.New(registry.Options{FirstWait: time.Millisecond, Transport: down})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Head(t.Context(), tag); err == nil {
		t.Fatal("no error while the registry is down")
	}
	down.down = false
	if _, err := c.Head(t.Context(), tag); err != nil {
		t.Errorf("after the outage: %v", err)
	}
}

type outage struct{ down bool }

func (o *outage) RoundTrip(r *http.Request) (*http.Response, error) {
	if o.down {
		return nil, errors.New("network is unreachable")
	}
	return http.DefaultTransport.RoundTrip(r)
}

func TestMirrors(t *testing.T) {
	origin, mirror := serve(t), serve(t)
	both := origin.push(t, "team/app:1")
	mirror.push(t, "team/app:1")
	only := origin.push(t, "team/app:2")
	c := newClient(t, map[string][]string{origin.host: {mirror.host}})
	if _, err := c.Head(t.Context(), both); err != nil || len(origin.seen()) != 0 || len(mirror.seen()) != 1 {
		t.Errorf("not from the mirror: %v", err)
	}
	if _, err := c.Head(t.Context(), only); err != nil || len(origin.seen()) != 1 || len(mirror.seen()) != 1 {
		t.Errorf("what the mirror lacks: %v", err)
	}
	got, err := c.Get(t.Context(), both)
	if err != nil {
		t.Fatal(err)
	}
	origin.seen()
	if err := c.Push(t.Context(), both.Context().Tag("new"), got); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(origin.seen(), http.MethodPut) {
		t.Error("a tag was not written to the registry itself")
	}
	tags, err := c.List(t.Context(), both.Context())
	if err != nil || !slices.Equal(tags, []string{"1", "2", "new"}) {
		t.Errorf("tags: %v, %v", tags, err)
	}
}

func TestParseMirrors(t *testing.T) {
	got, err := registry.ParseMirrors(" docker.io=a:1, quay.io=b ,docker.io=c,,")
	if err != nil || !slices.Equal(got[name.DefaultRegistry], []string{"a:1", "c"}) || !slices.Equal(got["quay.io"], []string{"b"}) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"x", "=y", "x="} {
		if _, err := registry.ParseMirrors(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestEnvironmentCredentials(t *testing.T) {
	s := serve(t)
	tag := s.push(t, "app:1")
	s.set(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "u" || password != "p-secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		s.answering(nil, nil)(w, r)
	})
	// The client learns from the answer to its first request what to authenticate with.
	guard := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, _, ok := r.BasicAuth(); !ok {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		s.answer(w, r)
	})
	h := httptest.NewServer(guard)
	defer h.Close()
	host := strings.TrimPrefix(h.URL, "http://")
	ref, err := name.NewTag(strings.Replace(tag.Name(), s.host, host, 1))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	_, err = newClient(t, nil).Head(t.Context(), ref)
	if !registry.Denied(err) {
		t.Errorf("without credentials: %v", err)
	}
	t.Setenv("KBLD_REGISTRY_HOSTNAME", host)
	t.Setenv("KBLD_REGISTRY_USERNAME", "u")
	t.Setenv("KBLD_REGISTRY_PASSWORD", "wrong-secret")
	_, err = newClient(t, nil).Head(t.Context(), ref)
	if !registry.Denied(err) || strings.Contains(err.Error(), "wrong-secret") {
		t.Errorf("with a wrong password: %v", err)
	}
	t.Setenv("KBLD_REGISTRY_PASSWORD", "p-secret")
	if _, err := newClient(t, nil).Head(t.Context(), ref); err != nil {
		t.Errorf("with credentials: %v", err)
	}
}

// An upload is sent again too when the registry has a moment of weakness.
func TestPushRetries(t *testing.T) {
	s := serve(t)
	tag := s.push(t, "app:1")
	img, err := random.Image(100, 1)
	if err != nil {
		t.Fatal(err)
	}
	handler := inprocess.New(inprocess.Logger(log.New(io.Discard, "", 0)))
	weak := true
	s.set(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && weak {
			weak = false
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		handler.ServeHTTP(w, r)
	})
	if err := newClient(t, nil).Push(t.Context(), tag.Context().Tag("new"), img); err != nil {
		t.Fatal(err)
	}
	if weak {
		t.Error("the fault was never met")
	}
}

// TestReferrers checks that what has a subject is found, also where the registry keeps no account of it.
func TestReferrers(t *testing.T) {
	for name, referrers := range map[string]bool{"API": true, "tag": false} {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			s.handler = inprocess.New(inprocess.Logger(log.New(io.Discard, "", 0)), inprocess.WithReferrersSupport(referrers))
			tag := s.push(t, "app:1")
			client, err := registry.New(registry.Options{})
			if err != nil {
				t.Fatal(err)
			}
			desc, err := client.Head(t.Context(), tag)
			if err != nil {
				t.Fatal(err)
			}
			subject := tag.Digest(desc.Digest.String())
			if list, err := client.Referrers(t.Context(), subject); err != nil || len(list) != 0 {
				t.Fatalf("before: %v, %v", list, err)
			}
			image, ok := mutate.Subject(mutate.MediaType(empty.Image, types.OCIManifestSchema1), *desc).(v1.Image)
			if !ok {
				t.Fatal("no image")
			}
			digest, err := image.Digest()
			if err != nil {
				t.Fatal(err)
			}
			if err := client.Push(t.Context(), tag.Digest(digest.String()), image); err != nil {
				t.Fatal(err)
			}
			list, err := client.Referrers(t.Context(), subject)
			if err != nil || len(list) != 1 || list[0].Digest != digest {
				t.Fatalf("after: %v, %v", list, err)
			}
			tags, err := client.List(t.Context(), tag.Repository)
			if want := 2; referrers != (len(tags) < want) {
				t.Errorf("tags: %v, %v", tags, err)
			}
		})
	}
}
