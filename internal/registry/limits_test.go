package registry_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"strake.dev/strake/internal/registry"
)

// heads asks for n references of as many repositories at once, and returns the first error.
func heads(ctx context.Context, t *testing.T, c *registry.Client, n int, hosts ...string) error {
	t.Helper()
	failed := make(chan error, n*len(hosts))
	var group sync.WaitGroup
	for _, host := range hosts {
		for i := range n {
			ref, err := name.NewTag(fmt.Sprintf("%s/app%d:1", host, i))
			if err != nil {
				t.Fatal(err)
			}
			group.Go(func() {
				if _, err := c.Head(ctx, ref); err != nil {
					failed <- err
				}
			})
		}
	}
	group.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// found answers as if there were an image.
func found(w http.ResponseWriter) {
	w.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("a", 64))
	w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
	w.Header().Set("Content-Length", "2")
}

// A crowd counts the requests that are under way at the same time.
type crowd struct {
	mu         sync.Mutex
	here, most int
	// full is closed when as many are there as there may be.
	full chan struct{}
	size int
}

func (c *crowd) enter() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.here++
	if c.most = max(c.most, c.here); c.most == c.size {
		c.size = 0
		close(c.full)
	}
}

func (c *crowd) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.here--
}

func TestLimitPerHost(t *testing.T) {
	const limit = 32
	c := newClient(t, nil)
	var hosts []string
	var crowds []*crowd
	all := &crowd{full: make(chan struct{}), size: 2 * limit}
	for range 2 {
		s, here := serve(t), &crowd{}
		s.set(func(w http.ResponseWriter, _ *http.Request) {
			here.enter()
			all.enter()
			select {
			case <-all.full:
				// Long enough for one too many to come.
				time.Sleep(10 * time.Millisecond)
			case <-time.After(10 * time.Second):
			}
			all.leave()
			here.leave()
			found(w)
		})
		hosts, crowds = append(hosts, s.host), append(crowds, here)
	}
	if err := heads(t.Context(), t, c, 100, hosts...); err != nil {
		t.Fatal(err)
	}
	for i, here := range crowds {
		if here.most != limit {
			t.Errorf("host %d: %d requests at the same time, expected %d", i, here.most, limit)
		}
	}
	if all.most != 2*limit {
		t.Errorf("%d requests at the same time to both hosts, expected %d", all.most, 2*limit)
	}
}

// A registry that allows only so many requests in a time is asked more slowly until all is answered.
func TestRateLimit(t *testing.T) {
	for name, header := range map[string]http.Header{"with Retry-After": {"Retry-After": {"1"}}, "without": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t)
			const burst, each = 20, 25 * time.Millisecond
			var mu sync.Mutex
			tokens, last, refused := float64(burst), time.Now(), 0
			s.set(func(w http.ResponseWriter, _ *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				now := time.Now()
				tokens = min(burst, tokens+float64(now.Sub(last))/float64(each))
				last = now
				if tokens < 1 {
					refused++
					maps.Copy(w.Header(), header)
					w.WriteHeader(http.StatusTooManyRequests)
					return
				}
				tokens--
				found(w)
			})
			c, err := registry.New(registry.Options{FirstWait: 200 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			if err := heads(t.Context(), t, c, 120, s.host); err != nil {
				t.Errorf("%v (%d requests refused)", err, refused)
			}
			t.Logf("%d requests refused", refused)
			if refused == 0 || refused > 100 {
				t.Errorf("%d requests refused", refused)
			}
		})
	}
}

// Who waits for a turn goes when its context ends, and the others go on.
func TestWaitForTurnEndsWithContext(t *testing.T) {
	s := serve(t)
	release := make(chan struct{})
	asked := make(chan struct{}, 1000)
	s.set(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-release
		found(w)
	})
	c := newClient(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	first, second := make(chan error), make(chan error)
	go func() { first <- heads(t.Context(), t, c, 32, s.host) }()
	for range 32 {
		<-asked
	}
	go func() { second <- heads(ctx, t, c, 100, s.host) }()
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v", err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Errorf("the others: %v", err)
	}
	if err := heads(t.Context(), t, c, 100, s.host); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// Each registry is asked only once how to authenticate, however many repositories are read.
func TestOnePingPerRegistry(t *testing.T) {
	for name, c := range map[string]struct {
		challenge string
		want      map[string]int
	}{
		"open":   {"", map[string]int{"ping": 1, "head": 40}},
		"basic":  {`Basic realm="x"`, map[string]int{"ping": 1, "head": 40}},
		"bearer": {`Bearer realm="http://HOST/token",service="s"`, map[string]int{"ping": 1, "token": 40, "head": 40}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("DOCKER_CONFIG", t.TempDir())
			s := serve(t)
			var mu sync.Mutex
			seen := map[string]int{}
			s.all = true
			s.set(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				switch r.URL.Path {
				case "/v2/":
					seen["ping"]++
					if c.challenge != "" {
						w.Header().Set("WWW-Authenticate", strings.ReplaceAll(c.challenge, "HOST", s.host))
						w.WriteHeader(http.StatusUnauthorized)
					}
				case "/token":
					seen["token"]++
					_, _ = w.Write([]byte(`{"token": "t"}`))
				default:
					seen["head"]++
					found(w)
				}
			})
			client := newClient(t, nil)
			if err := heads(t.Context(), t, client, 40, s.host); err != nil {
				t.Fatal(err)
			}
			for what, want := range c.want {
				if seen[what] != want {
					t.Errorf("%s: %d requests, expected %d", what, seen[what], want)
				}
			}
			// Other credentials are for the same registry.
			other, err := client.WithKeychain(registry.Keychain())
			if err != nil {
				t.Fatal(err)
			}
			if err := heads(t.Context(), t, other, 1, s.host); err != nil || seen["ping"] != 1 {
				t.Errorf("%v, %d pings", err, seen["ping"])
			}
		})
	}
}

// A ping that failed isn't remembered.
func TestPingFails(t *testing.T) {
	s := serve(t)
	s.all = true
	var pings []int
	status := http.StatusForbidden
	s.set(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			pings = append(pings, status)
			w.WriteHeader(status)
			return
		}
		found(w)
	})
	c := newClient(t, nil)
	if err := heads(t.Context(), t, c, 1, s.host); !registry.Denied(err) {
		t.Errorf("error: %v", err)
	}
	status = http.StatusOK
	if err := heads(t.Context(), t, c, 3, s.host); err != nil {
		t.Error(err)
	}
	if want := []int{http.StatusForbidden, http.StatusOK}; !slices.Equal(pings, want) {
		t.Errorf("pings: %v", pings)
	}
}

// Connections are kept for what follows.
func TestConnectionsAreReused(t *testing.T) {
	s := newServer()
	h := httptest.NewUnstartedServer(s)
	var mu sync.Mutex
	connections := map[string]bool{}
	s.set(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		connections[r.RemoteAddr] = true
		mu.Unlock()
		time.Sleep(time.Millisecond)
		found(w)
	})
	h.Start()
	defer h.Close()
	c := newClient(t, nil)
	for range 4 {
		if err := heads(t.Context(), t, c, 50, strings.TrimPrefix(h.URL, "http://")); err != nil {
			t.Fatal(err)
		}
	}
	// A new one may be on its way when an old one gets free.
	if len(connections) > 100 {
		t.Errorf("%d connections for 200 requests", len(connections))
	}
}
