package follow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"strake.dev/strake/internal/kube"
	"strake.dev/strake/stages"
)

// A Port is a port of an app's pods, and the one of this machine that leads there.
type Port struct {
	// Kind is service, deployment, statefulset, daemonset, job or pod; empty is the first of these of which the app
	// has one of the name.
	Kind, Name string
	// Local is 0 for any free one.
	Local, Remote int
}

// ParsePort reads [KIND/]NAME:[LOCAL:]REMOTE. Without LOCAL it is that of REMOTE.
func ParsePort(text string) (Port, error) {
	fail := func(why string) (Port, error) {
		return Port{}, stages.WithHint(fmt.Errorf("%q: %s", text, why), "expected [KIND/]NAME:[LOCAL:]PORT, for example service/web:8080:80")
	}
	parts := strings.Split(text, ":")
	if len(parts) != 2 && len(parts) != 3 {
		return fail("expected a name and one or two ports")
	}
	p := Port{Name: parts[0]}
	if kind, name, ok := strings.Cut(parts[0], "/"); ok {
		full, known := kindNames[strings.ToLower(kind)]
		if !known {
			return fail(fmt.Sprintf("%q is no kind whose pods are known", kind))
		}
		p.Kind, p.Name = full, name
	}
	if p.Name == "" || strings.Contains(p.Name, "/") {
		return fail("expected a name")
	}
	var err error
	if p.Remote, err = port(parts[len(parts)-1], 1); err != nil {
		return fail(err.Error())
	}
	p.Local = p.Remote
	if len(parts) == 3 {
		if p.Local, err = port(parts[1], 0); err != nil {
			return fail(err.Error())
		}
	}
	return p, nil
}

func port(text string, least int) (int, error) {
	const most = 65535
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%q is no port: expected a number from %d to %d", text, least, most)
	}
	return n, nil
}

// String is the form that ParsePort reads.
func (p Port) String() string {
	name := p.Name
	if p.Kind != "" {
		name = p.Kind + "/" + name
	}
	return fmt.Sprintf("%s:%d:%d", name, p.Local, p.Remote)
}

// A Forward leads connections to a port of this machine to a pod that is ready when they come. It stays while pods
// come and go.
type Forward struct {
	Port
	listener net.Listener
	warn     func(error)

	mu     sync.Mutex
	find   func(context.Context, Port) (kube.Pod, int, error)
	dial   func(context.Context, kube.Pod, int) (net.Conn, error)
	ctx    context.Context
	end    context.CancelFunc
	work   sync.WaitGroup
	warned string
}

// Listen takes the port of this machine, for programs of this machine. find returns a pod that is ready and the
// port of it that is meant; dial connects to it; warn is told why a connection fails. The caller calls Close.
func Listen(ctx context.Context, p Port, find func(context.Context, Port) (kube.Pod, int, error), dial func(context.Context, kube.Pod, int) (net.Conn, error), warn func(error)) (*Forward, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Local)))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, stages.WithHint(fmt.Errorf("port %d of this machine is in use by another program", p.Local), "take another one: --port-forward %s:LOCAL:%d, or 0 as LOCAL for any", p.Name, p.Remote)
	case errors.Is(err, syscall.EACCES):
		return nil, stages.WithHint(fmt.Errorf("port %d of this machine may not be taken", p.Local), "take one above 1023: --port-forward %s:LOCAL:%d", p.Name, p.Remote)
	case err != nil:
		return nil, fmt.Errorf("port %d of this machine: %w", p.Local, err)
	}
	ctx, end := context.WithCancel(ctx)
	f := &Forward{Port: p, listener: listener, warn: warn, find: find, dial: dial, ctx: ctx, end: end}
	f.work.Go(f.serve)
	return f, nil
}

// Address is where it listens.
func (f *Forward) Address() string { return f.listener.Addr().String() }

// Close ends all connections.
func (f *Forward) Close() error {
	f.end()
	err := f.listener.Close()
	f.work.Wait()
	return err
}

func (f *Forward) serve() {
	for {
		conn, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.work.Go(func() {
			defer conn.Close()
			if err := f.connect(conn); err != nil && f.ctx.Err() == nil {
				f.complain(err)
			}
		})
	}
}

// complain tells an error, once as long as it is the same.
func (f *Forward) complain(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.warned != err.Error() {
		f.warned = err.Error()
		f.warn(fmt.Errorf("port-forward %s: %w", f.Port, err))
	}
}

// patience is how long a connection waits for a pod that is ready.
const patience = 30 * time.Second

// linger is how long the answer may take once a client has said everything.
const linger = 5 * time.Second

// connect leads a connection to a pod.
func (f *Forward) connect(local net.Conn) error {
	ctx, cancel := context.WithTimeout(f.ctx, patience)
	defer cancel()
	for {
		remote, err := f.reach(ctx)
		if err == nil {
			return f.join(local, remote)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func (f *Forward) reach(ctx context.Context) (net.Conn, error) {
	pod, port, err := f.find(ctx, f.Port)
	if err != nil {
		return nil, err
	}
	return f.dial(ctx, pod, port)
}

// join copies both ways until the pod's side ends, or this one's has. It returns why nothing came from the pod.
func (f *Forward) join(local, remote net.Conn) error {
	defer remote.Close()
	stop := context.AfterFunc(f.ctx, func() { _ = errors.Join(local.Close(), remote.Close()) })
	defer stop()
	type end struct {
		n   int64
		err error
	}
	sent, got := make(chan struct{}), make(chan end, 1)
	f.work.Go(func() {
		defer close(sent)
		_, _ = io.Copy(remote, local) // the end of a connection may be any error
	})
	f.work.Go(func() {
		n, err := io.Copy(local, remote)
		got <- end{n, err}
	})
	select {
	case e := <-got:
		if e.n == 0 {
			return e.err
		}
	case <-sent:
		// The client has said everything; the answer may still come.
		select {
		case <-got:
		case <-time.After(linger):
		case <-f.ctx.Done():
		}
	}
	return nil
}
