package buildkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/util/grpcerrors"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpccreds "google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"strake.dev/strake/internal/kube"
	"strake.dev/strake/stages"
)

const (
	// dialTimeout is how long a daemon may take to answer the first call.
	dialTimeout = 8 * time.Second
	// beat is how often a daemon is asked during a build whether it is still there, and beatTimeout how
	// long it may take to answer: a daemon whose machine has vanished closes no connection.
	beat, beatTimeout = 5 * time.Second, 15 * time.Second
)

// A connection is one to a daemon that has answered.
type connection struct {
	*client.Client
	daemon Daemon
	wire   *wire
}

// connect returns a connection to a daemon that answers. The caller closes it. If the daemon doesn't
// answer, the error is a [goneError].
func (c *Client) connect(ctx context.Context, d Daemon) (*connection, error) {
	w := &wire{lost: make(chan struct{})}
	bk, err := client.New(ctx, d.Address, c.dialOptions(d, w)...)
	if err != nil {
		return nil, gone(d, "doesn't answer", err)
	}
	probe, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if _, err := bk.Info(probe); err != nil {
		bk.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, gone(d, "doesn't answer", explainDial(probe, d, w, err))
	}
	return &connection{Client: bk, daemon: d, wire: w}, nil
}

func (c *Client) dialOptions(d Daemon, w *wire) []client.ClientOpt {
	w.TransportCredentials = insecure.NewCredentials()
	scheme, _, _ := strings.Cut(d.Address, "://")
	u, err := url.Parse(d.Address)
	var opts []client.ClientOpt
	secure := scheme == "tcp"
	if scheme == podScheme && err == nil {
		place, err := parsePod(u)
		secure = place.port != 0
		opts = append(opts, client.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			if err != nil {
				return nil, err
			}
			conn, err := c.dialPod(ctx, place)
			return conn, w.keep(err)
		}))
	}
	if d.TLS != nil && secure {
		w.tls = d.TLS
		w.TransportCredentials = grpccreds.NewTLS(d.TLS.config)
		if name := d.TLS.config.ServerName; name != "" {
			// gRPC wants both to be the same.
			opts = append(opts, client.WithGRPCDialOption(grpc.WithAuthority(name)))
		}
	}
	return append(opts, client.WithGRPCDialOption(grpc.WithTransportCredentials(w)))
}

// A wire is what lies between a client and its daemon. It keeps, with their types, the errors that
// gRPC makes text of.
type wire struct {
	grpccreds.TransportCredentials
	tls *TLS
	// lost is closed when an established connection has ended.
	lost chan struct{}
	mu   sync.Mutex
	err  error
	once sync.Once
}

// keep remembers the last error, and returns it.
func (w *wire) keep(err error) error {
	if err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.err = err
	}
	return err
}

// cause is the last error; it may be nil.
func (w *wire) cause() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// ClientHandshake is called by gRPC for each connection it makes.
func (w *wire) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, grpccreds.AuthInfo, error) {
	conn, info, err := w.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err != nil {
		return nil, nil, w.keep(err)
	}
	return &wiredConn{Conn: conn, wire: w}, info, nil
}

// Clone is called by gRPC for each client, of which a wire has only one.
func (w *wire) Clone() grpccreds.TransportCredentials { return w }

// A wiredConn notices when its other end goes away.
type wiredConn struct {
	net.Conn
	wire   *wire
	closed atomic.Bool
}

func (c *wiredConn) Read(data []byte) (int, error) {
	n, err := c.Conn.Read(data)
	if err != nil && !c.closed.Load() {
		_ = c.wire.keep(err)
		c.wire.once.Do(func() { close(c.wire.lost) })
	}
	return n, err
}

// Write notices why its other end went away. In TLS 1.3 a client is done with the handshake before the
// daemon has looked at its certificate: if it writes meanwhile, the daemon's alert is there to be read.
func (c *wiredConn) Write(data []byte) (int, error) {
	n, err := c.Conn.Write(data)
	if err != nil && !c.closed.Load() {
		const soon = time.Second
		_ = c.SetReadDeadline(time.Now().Add(soon)) // without it, what was received is read all the same
		if _, alert := c.Read(make([]byte, 1)); alert != nil {
			return n, alert
		}
	}
	return n, err
}

func (c *wiredConn) Close() error {
	c.closed.Store(true)
	return c.Conn.Close()
}

// errLost says that a daemon went away while it was needed.
var errLost = errors.New("connection to the BuildKit daemon is lost")

// during calls f, whose context ends when the daemon goes away; then the error is [errLost]. When ctx
// ends, so does the connection.
func (c *connection) during(ctx context.Context, f func(ctx context.Context) error) error {
	watched, end := context.WithCancelCause(ctx)
	defer end(nil)
	// Otherwise the library would wait for the last words of a daemon that may never come.
	defer context.AfterFunc(watched, func() { c.Close() })()
	go c.watch(watched, end)
	err := f(watched)
	if err != nil && (errors.Is(context.Cause(watched), errLost) || c.broke(err)) {
		return errLost
	}
	return err
}

// watch ends ctx with [errLost] when the connection is lost, or the daemon doesn't answer any more.
func (c *connection) watch(ctx context.Context, end context.CancelCauseFunc) {
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wire.lost:
			end(errLost)
			return
		case <-ticker.C:
		}
		ask, cancel := context.WithTimeout(ctx, beatTimeout)
		_, err := c.Info(ask)
		cancel()
		// A daemon that is shutting down finishes its builds, but answers no more than that it does.
		if grpcerrors.Code(err) == codes.DeadlineExceeded && ctx.Err() == nil {
			_ = c.wire.keep(fmt.Errorf("no answer within %s", beatTimeout))
			end(errLost)
			return
		}
	}
}

// broke tells whether err is what the library makes of a lost connection.
func (c *connection) broke(err error) bool {
	code := grpcerrors.Code(err)
	if code != codes.Unavailable && code != codes.Canceled {
		return false
	}
	select {
	case <-c.wire.lost:
		return true
	default:
		return false
	}
}

// why says how the connection was lost.
func (c *connection) why() error {
	err := c.wire.cause()
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return errors.New("it has closed the connection")
	}
	return err
}

// explainDial says why a daemon doesn't answer.
func explainDial(ctx context.Context, d Daemon, w *wire, err error) error {
	cause := w.cause()
	noCommand, _ := errors.AsType[*kube.NoCommandError](cause)
	switch {
	case noCommand != nil:
		return stages.WithHint(noCommand, "let it listen on a port, and add port=NUMBER to the address, or “pods: {port: …}” to the App")
	case cause != nil && w.tls != nil:
		if told := w.tls.explain(cause); told != nil {
			return told
		}
	case w.tls == nil && strings.HasPrefix(d.Address, "tcp:") && strings.Contains(err.Error(), "error reading server preface"):
		return stages.WithHint(fmt.Errorf("it doesn't speak plain gRPC: %w", plain(err)), "does it want TLS? Name a folder with certificates by --buildkit-tls-dir, or a Secret by “buildkit: {tls: {secretRef: …}}”")
	case strings.HasPrefix(d.Address, podScheme+":") && cause != nil:
		return cause
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %s", dialTimeout)
	}
	return plain(err)
}
