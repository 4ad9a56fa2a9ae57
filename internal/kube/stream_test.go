package kube

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// older is an API server that knows no WebSocket: connections to pods are SPDY's. Commands and ports
// answer with what they are sent; “missing” is no command, and nobody listens on port 4321.
func older(t *testing.T) *Cluster {
	t.Helper()
	_, config := server(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !strings.HasPrefix(r.URL.Path, "/api/v1/namespaces/team/pods/b/"):
			// The library leaves the connection of a refused upgrade to the garbage collector.
			w.Header().Set("Connection", "close")
			status(w, http.StatusNotFound, "NotFound", `pods "nobody" not found`)
		case r.Header.Get("Upgrade") == "websocket":
			status(w, http.StatusBadRequest, "BadRequest", "upgrade to what?")
		default:
			upgrade(t, w, r)
		}
	})
	return New(Options{Kubeconfig: write(t, config)})
}

func upgrade(t *testing.T, w http.ResponseWriter, r *http.Request) {
	t.Helper()
	if _, err := httpstream.Handshake(r, w, []string{"v4.channel.k8s.io", "portforward.k8s.io"}); err != nil {
		t.Error(err)
		return
	}
	streams := make(chan httpstream.Stream, 4)
	conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(s httpstream.Stream, _ <-chan struct{}) error {
		streams <- s
		return nil
	})
	if conn == nil {
		t.Error("no connection")
		return
	}
	defer conn.Close()
	kinds := map[string]httpstream.Stream{}
	for want := map[bool]int{true: 4, false: 2}[strings.HasSuffix(r.URL.Path, "/exec")]; len(kinds) < want; {
		s := <-streams
		kinds[s.Headers().Get(core.StreamType)] = s
	}
	in, out := kinds[core.StreamTypeStdin], kinds[core.StreamTypeStdout]
	if data := kinds[core.StreamTypeData]; data != nil {
		in, out = data, data
		if data.Headers().Get(core.PortHeader) == "4321" {
			fmt.Fprint(kinds[core.StreamTypeError], "connection refused\n")
			kinds[core.StreamTypeError].Close()
			<-conn.CloseChan()
			return
		}
	} else if r.URL.Query().Get("command") == "missing" {
		fmt.Fprint(kinds[core.StreamTypeError], `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"exec: \"missing\": executable file not found in $PATH"}`)
		return
	}
	_, _ = io.Copy(out, in)
}

func TestConnectionsToPods(t *testing.T) {
	cluster := older(t)
	dial := map[string]func(pod, what string) (net.Conn, error){
		"exec": func(pod, what string) (net.Conn, error) { return cluster.Exec(t.Context(), Pod{Name: pod}, what) },
		"forward": func(pod, what string) (net.Conn, error) {
			return cluster.Forward(t.Context(), Pod{Name: pod}, map[string]int{"echo": 1234, "missing": 4321}[what])
		},
	}
	for name, c := range map[string]struct{ kind, pod, what, want string }{
		"exec":             {"exec", "b", "echo", ""},
		"forward":          {"forward", "b", "echo", ""},
		"exec, no pod":     {"exec", "nobody", "echo", `pod team/nobody at `},
		"forward, no pod":  {"forward", "nobody", "echo", `pods "nobody" not found`},
		"exec, no command": {"exec", "b", "missing", "pod team/b has no program missing"},
		"forward, nobody":  {"forward", "b", "missing", "port 4321 of pod team/b: connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			conn, err := dial[c.kind](c.pod, c.what)
			if err == nil {
				err = echo(conn)
				conn.Close()
				if _, err := conn.Read(make([]byte, 1)); err == nil {
					t.Error("a closed connection is read from")
				}
			}
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error: %v, expected %q", err, c.want)
			}
			var missing *NoCommandError
			if c.want != "" && errors.As(err, &missing) != (c.kind == "exec" && c.what == "missing") {
				t.Errorf("error is a %T", err)
			}
			for range 100 {
				if runtime.NumGoroutine() <= before {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
			stacks := make([]byte, 1<<20)
			t.Errorf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
		})
	}
}

// echo writes a lot and reads it again.
func echo(conn net.Conn) error {
	text := strings.Repeat("0123456789abcdef", 1<<14)
	wrote := make(chan error, 1)
	go func() { _, err := io.WriteString(conn, text); wrote <- err }()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(conn, got); err != nil {
		return err
	}
	if string(got) != text {
		return errors.New("other data came back")
	}
	return <-wrote
}
