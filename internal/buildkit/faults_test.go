package buildkit_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/stages"
)

func TestRegistryTurnsPushAway(t *testing.T) {
	b := newBench(t)
	for status, hint := range map[int]string{
		http.StatusUnauthorized: "log in to the registry", http.StatusForbidden: "log in to the registry", http.StatusInternalServerError: "",
	} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v2/" {
					return
				}
				w.WriteHeader(status)
			}))
			defer h.Close()
			b := b
			b.repo = strings.TrimPrefix(h.URL, "http://") + "/team/app"
			_, _, err := b.build(t.Context(), t, map[string]string{"Dockerfile": "FROM BASE\n"}, buildkit.Source{})
			if err == nil || !strings.Contains(err.Error(), "build of app: ") || !strings.Contains(err.Error(), b.repo) {
				t.Errorf("error: %v", err)
			}
			if got := stages.Hint(err); !strings.Contains(got, hint) || (hint == "") != (got == "") {
				t.Errorf("hint: %q", got)
			}
			t.Log(err)
		})
	}
}

func TestMissingBase(t *testing.T) {
	b := newBench(t)
	_, _, err := b.build(t.Context(), t, map[string]string{"Dockerfile": "ARG X\n\nFROM BASEx AS y\n"}, buildkit.Source{})
	var step *buildkit.StepError
	if !errors.As(err, &step) || step.Line != 3 || !strings.Contains(err.Error(), "not found") || !strings.Contains(err.Error(), "   3 | >>> FROM") {
		t.Errorf("error: %v", err)
	}
}

func TestBadDockerfile(t *testing.T) {
	b := newBench(t)
	for text, want := range map[string]string{
		"FROM BASE\nCPY a b\n":                "Dockerfile:2: CPY a b: ",
		"FROM BASE\nCOPY nothing /\n":         "Dockerfile:2: COPY nothing /: ",
		"RUN true\n":                          "Dockerfile:1: RUN true: ",
		"FROM BASE AS a\nFROM nothere-$X/b\n": "Dockerfile:2",
		"":                                    "build of app",
	} {
		_, _, err := b.build(t.Context(), t, map[string]string{"Dockerfile": text}, buildkit.Source{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, expected %q", text, err, want)
		}
	}
}

// A relay passes a connection on to the daemon until it is cut.
type relay struct {
	listener net.Listener
	mu       sync.Mutex
	conns    []net.Conn
}

func newRelay(t *testing.T, daemon string) (*relay, string) {
	t.Helper()
	to, err := url.Parse(daemon)
	if err != nil {
		t.Fatal(err)
	}
	network, address := to.Scheme, to.Host+to.Path
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: listener}
	t.Cleanup(r.cut)
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial(network, address)
			if err != nil {
				in.Close()
				return
			}
			r.mu.Lock()
			r.conns = append(r.conns, in, out)
			r.mu.Unlock()
			// Both end with an error when the relay is cut.
			go func() { _, _ = io.Copy(in, out) }()
			go func() { _, _ = io.Copy(out, in) }()
		}
	}()
	return r, "unix://" + socket
}

func (r *relay) cut() {
	r.listener.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.Close()
	}
}

// onLog calls f when a line is logged that contains text.
type onLog struct {
	text string
	f    func()
}

func (o onLog) Observe(e stages.Event) {
	if e.Type == stages.LogLine && strings.Contains(e.Message, o.text) {
		o.f()
	}
}

func TestDaemonDiesWhileBuilding(t *testing.T) {
	b := newBench(t)
	relay, address := newRelay(t, b.address)
	b.address = address
	var cut time.Time
	b.observer = onLog{"begun", func() { cut = time.Now(); relay.cut() }}
	_, _, err := b.build(t.Context(), t, map[string]string{"Dockerfile": "FROM BASE\nRUN echo begun; sleep 30\n"}, buildkit.Source{})
	if err == nil || !strings.Contains(err.Error(), "BuildKit daemon at "+address+" went away") {
		t.Errorf("error: %v", err)
	}
	if took := time.Since(cut); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	t.Log(err)
}

func TestNothingIsLeftAfterCancel(t *testing.T) {
	b := newBench(t)
	files := func() map[string]string {
		return map[string]string{"Dockerfile": "FROM BASE\nRUN echo begun; sleep 30\n"}
	}
	before := runtime.NumGoroutine()
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		b.observer = onLog{"begun", cancel}
		_, _, err := b.build(ctx, t, files(), buildkit.Source{Options: buildkit.Options{NoCache: true}})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("error: %v", err)
		}
	}
	for range 100 {
		if runtime.NumGoroutine() <= before+2 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	stacks := make([]byte, 1<<20)
	t.Errorf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
}
