package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// Forward returns a connection to a port of a pod, made by way of the API server. Everything that
// belongs to it ends when it is closed; the end of ctx means nothing after Forward has returned.
func (c *Cluster) Forward(ctx context.Context, p Pod, port int) (net.Conn, error) {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, end)
	conn, err := c.forward(life, p, port)
	if !stop() && err == nil {
		conn.Close()
		err = ctx.Err()
	}
	if err != nil {
		end()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, c.podError(p, "pods/portforward", err)
	}
	conn.end = end
	return conn, nil
}

func (c *Cluster) forward(ctx context.Context, p Pod, port int) (*forwardConn, error) {
	config, request, err := c.podRequest(ctx, p, "portforward")
	if err != nil {
		return nil, err
	}
	dialer, err := forwardDialer(config, request)
	if err != nil {
		return nil, err
	}
	streams, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
	if err != nil {
		return nil, err
	}
	conn := &forwardConn{streams: streams, port: port, place: c.podName(p)}
	if err := conn.open(); err != nil {
		streams.Close()
		return nil, err
	}
	return conn, nil
}

// forwardDialer speaks WebSocket, or the older SPDY with servers and proxies that don't know it for
// this.
func forwardDialer(config *rest.Config, request *rest.Request) (httpstream.Dialer, error) {
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, err
	}
	older := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, request.URL())
	newer, err := portforward.NewSPDYOverWebsocketDialerForStreaming(request.URL(), config)
	if err != nil {
		return nil, err
	}
	return portforward.NewFallbackDialerForStreaming(newer, older, wantsOlder), nil
}

// maxTold is how long the node's word on a stream may come after the stream's end.
const maxTold = 200 * time.Millisecond

// A forwardConn is a connection to a port of a pod.
type forwardConn struct {
	httpstream.Stream
	streams httpstream.Connection
	port    int
	place   string
	end     func()

	// refused is what the node says of why there is no connection; it is set when told is closed.
	refused error
	told    chan struct{}
}

// open makes the two streams of the protocol: one for data, and one on which the node says what is
// wrong.
func (c *forwardConn) open() error {
	headers := http.Header{}
	headers.Set(core.PortHeader, strconv.Itoa(c.port))
	headers.Set(core.PortForwardRequestIDHeader, "0")
	headers.Set(core.StreamType, core.StreamTypeError)
	problems, err := c.streams.CreateStream(headers)
	if err != nil {
		return err
	}
	// Nothing is written to it.
	problems.Close()
	headers.Set(core.StreamType, core.StreamTypeData)
	if c.Stream, err = c.streams.CreateStream(headers); err != nil {
		return err
	}
	c.told = make(chan struct{})
	go func() {
		defer close(c.told)
		text, _ := io.ReadAll(io.LimitReader(problems, maxWords))
		if len(text) > 0 {
			c.refused = fmt.Errorf("port %d of %s: %s", c.port, c.place, strings.TrimSpace(string(text)))
			c.streams.Close()
		}
	}()
	return nil
}

func (c *forwardConn) Read(data []byte) (int, error) {
	n, err := c.Stream.Read(data)
	return n, c.why(err)
}

func (c *forwardConn) Write(data []byte) (int, error) {
	n, err := c.Stream.Write(data)
	return n, c.why(err)
}

// why prefers what the node says to how the stream ended, which may be known a little earlier.
func (c *forwardConn) why(err error) error {
	if err == nil {
		return nil
	}
	timer := time.NewTimer(maxTold)
	defer timer.Stop()
	select {
	case <-c.told:
		if c.refused != nil {
			return c.refused
		}
	case <-timer.C:
	}
	return err
}

func (c *forwardConn) Close() error {
	err := errors.Join(c.Reset(), c.streams.Close())
	if c.end != nil {
		c.end()
	}
	return err
}

func (c *forwardConn) LocalAddr() net.Addr  { return podAddr("") }
func (c *forwardConn) RemoteAddr() net.Addr { return podAddr(c.place + ":" + strconv.Itoa(c.port)) }

// Deadlines aren't known to the protocol. Close ends what hangs.
func (c *forwardConn) SetDeadline(time.Time) error      { return nil }
func (c *forwardConn) SetReadDeadline(time.Time) error  { return nil }
func (c *forwardConn) SetWriteDeadline(time.Time) error { return nil }
