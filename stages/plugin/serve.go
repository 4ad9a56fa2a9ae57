package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"strake.dev/strake/stages/protocol"
)

// Serve answers strake on standard input and output, and ends the process.
func Serve(p Plugin) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// What a library prints must not get among the messages.
	out := os.Stdout
	os.Stdout = os.Stderr
	err := Talk(ctx, p, os.Stdin, out)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", p.Name, err)
		os.Exit(1) //nolint:forbidigo // it is the whole of a plugin's main
	}
	os.Exit(0) //nolint:forbidigo // likewise
}

// Talk answers one request, with in and out instead of standard input and output. The error says that the other
// side doesn't speak the protocol; what goes wrong in the plugin's functions is told as an answer.
func Talk(ctx context.Context, p Plugin, in io.Reader, out io.Writer) error {
	const most = 16 << 20 // bytes of a hello and a request; each is bounded by protocol.MaxLine
	lines := protocol.NewReader(in, most)
	m, err := lines.Host()
	if err != nil {
		return fmt.Errorf("expected a hello of strake: %w (a plugin is started by strake; see “strake plugins test”)", err)
	}
	if m.Hello == nil || !slices.Contains(m.Hello.Protocols, protocol.V1) {
		return fmt.Errorf("expected a strake that speaks %s", protocol.V1)
	}
	send := func(m protocol.PluginMessage) error { return protocol.Write(out, m) }
	if err := send(protocol.PluginMessage{Hello: &protocol.PluginHello{
		Protocol: protocol.V1, Name: p.Name, Version: p.Version, Stages: names(p.stages()), Capabilities: names(p.capabilities()),
	}}); err != nil {
		return err
	}
	switch m, err = lines.Host(); {
	case errors.Is(err, io.EOF):
		return nil // only the hello was wanted
	case err != nil:
		return err
	case m.Request == nil:
		return errors.New("expected a request after the hello")
	}
	r := &Request{Request: *m.Request, mu: &sync.Mutex{}, out: send}
	result, err := await(ctx, p, r)
	if err != nil {
		return send(protocol.PluginMessage{Error: &protocol.Error{Message: err.Error(), Hint: hintOf(err)}})
	}
	return send(protocol.PluginMessage{Result: &result})
}

// await calls the plugin's function. It doesn't wait for one that goes on after its context has ended, longer than it
// takes to clean up.
func await(ctx context.Context, p Plugin, r *Request) (Result, error) {
	type answer struct {
		result Result
		err    error
	}
	done := make(chan answer, 1)
	go func() {
		result, err := call(ctx, p, r)
		done <- answer{result, err}
	}()
	select {
	case a := <-done:
		return a.result, a.err
	case <-ctx.Done():
	}
	const patience = 500 * time.Millisecond // strake kills it a second after it has asked
	select {
	case a := <-done:
		return a.result, a.err
	case <-time.After(patience):
		return Result{}, fmt.Errorf("%s: was asked to end", p.Name)
	}
}

// call turns a panic into an error.
func call(ctx context.Context, p Plugin, r *Request) (result Result, err error) {
	f, ok := p.do(r)
	if !ok {
		return Result{}, fmt.Errorf("%s can't %s in the %s stage", p.Name, r.Op, r.Stage)
	}
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%s: internal error: %v", p.Name, cause)
		}
	}()
	return f(ctx, r)
}
