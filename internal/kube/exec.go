package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/streaming/pkg/httpstream"

	"strake.dev/strake/stages"
)

// maxWords is how much of what a command says on its standard error is kept, in bytes: its end.
const maxWords = 1024

// Exec runs a command in a pod, and returns a connection to its standard input and output. It doesn't
// wait for the command to run: why it can't is what reading from the connection ends with, together
// with the last that the command has said on its standard error. The command ends, and all that
// belongs to it here, when the connection is closed; the end of ctx means nothing after Exec has
// returned.
func (c *Cluster) Exec(ctx context.Context, p Pod, command ...string) (net.Conn, error) {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	executor, err := c.executor(life, p, command)
	if err != nil {
		end()
		return nil, err
	}
	in, stdin := io.Pipe()
	stdout, out := io.Pipe()
	conn := &execConn{PipeReader: stdout, in: stdin, end: end, place: c.Host() + "/" + c.in(p) + "/" + p.Name}
	go func() {
		defer end()
		var words tail
		err := executor.StreamWithContext(life, remotecommand.StreamOptions{Stdin: in, Stdout: out, Stderr: &words})
		err = c.execError(p, command[0], err, words.String())
		in.CloseWithError(err)
		out.CloseWithError(err)
	}()
	return conn, nil
}

// executor speaks WebSocket, or the older SPDY with servers and proxies that don't know it for this.
func (c *Cluster) executor(ctx context.Context, p Pod, command []string) (remotecommand.Executor, error) {
	config, request, err := c.podRequest(ctx, p, "exec")
	if err != nil {
		return nil, err
	}
	request.VersionedParams(&core.PodExecOptions{
		Container: p.Container, Command: command, Stdin: true, Stdout: true, Stderr: true,
	}, scheme.ParameterCodec)
	url := request.URL()
	older, err := remotecommand.NewSPDYExecutor(config, http.MethodPost, url)
	if err != nil {
		return nil, err
	}
	newer, err := remotecommand.NewWebSocketExecutor(config, http.MethodGet, url.String())
	if err != nil {
		return nil, err
	}
	return remotecommand.NewFallbackExecutor(newer, older, wantsOlder)
}

// wantsOlder tells whether a server or a proxy on the way to it doesn't know WebSocket for this.
func wantsOlder(err error) bool {
	return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
}

// podRequest begins a request for a subresource of a pod.
func (c *Cluster) podRequest(ctx context.Context, p Pod, subresource string) (*rest.Config, *rest.Request, error) {
	config, err := c.Config(ctx)
	if err != nil {
		return nil, nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, nil, err
	}
	return config, client.CoreV1().RESTClient().Post().Resource("pods").Namespace(c.in(p)).Name(p.Name).SubResource(subresource), nil
}

// execError says why a command ended; it is never nil.
func (c *Cluster) execError(p Pod, command string, err error, words string) error {
	switch {
	case err == nil && words == "", errors.Is(err, context.Canceled):
		return io.EOF
	case err == nil:
		return fmt.Errorf("%s in %s has ended: %s", command, c.podName(p), words)
	case strings.Contains(err.Error(), "executable file not found"), strings.Contains(err.Error(), "no such file or directory"):
		return &NoCommandError{Command: command, Place: c.podName(p)}
	case words != "":
		return fmt.Errorf("%s in %s: %w: %s", command, c.podName(p), err, words)
	}
	return c.podError(p, "pods/exec", err)
}

// podError explains why a connection to a pod could not be had.
func (c *Cluster) podError(p Pod, right string, err error) error {
	if upgrade, ok := errors.AsType[*httpstream.UpgradeFailureError](err); ok {
		err = upgrade.Cause
	}
	err = fmt.Errorf("%s at %s: %w", c.podName(p), c.Host(), c.Explain(err))
	if strings.Contains(err.Error(), "forbidden") {
		return stages.WithHint(err, "the identity needs the rights to get and create %s in namespace %s", right, c.in(p))
	}
	return err
}

func (c *Cluster) podName(p Pod) string { return "pod " + c.in(p) + "/" + p.Name }

// A NoCommandError tells that a pod's container doesn't have a program.
type NoCommandError struct{ Command, Place string }

func (e *NoCommandError) Error() string {
	return fmt.Sprintf("%s has no program %s", e.Place, e.Command)
}

// An execConn is a connection to a command in a pod.
type execConn struct {
	*io.PipeReader
	in    *io.PipeWriter
	end   func()
	place string
}

func (c *execConn) Write(data []byte) (int, error) { return c.in.Write(data) }

func (c *execConn) Close() error {
	c.end()
	c.in.Close()
	return c.PipeReader.Close()
}

func (c *execConn) LocalAddr() net.Addr  { return podAddr("") }
func (c *execConn) RemoteAddr() net.Addr { return podAddr(c.place) }

// Deadlines aren't known to the protocol. Close ends what hangs.
func (c *execConn) SetDeadline(time.Time) error      { return nil }
func (c *execConn) SetReadDeadline(time.Time) error  { return nil }
func (c *execConn) SetWriteDeadline(time.Time) error { return nil }

// podAddr is a pod as [net.Addr].
type podAddr string

func (podAddr) Network() string  { return "pod" }
func (a podAddr) String() string { return string(a) }

// A tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(data []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, data...)
	t.text = t.text[max(0, len(t.text)-maxWords):]
	return len(data), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}
