package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// stopGrace is how long a command may take to end after a signal. It is longer than the engine's own
// patience with a step, so it counts only for what the engine doesn't watch.
const stopGrace = 20 * time.Second

// signalExit added to a signal's number is the exit code of a program that it ended, as shells have it.
const signalExit = 128

// A signalError is the cause of a context that a signal ended.
type signalError struct{ signal syscall.Signal }

func (e *signalError) Error() string {
	switch e.signal {
	case syscall.SIGINT:
		return "interrupted"
	case syscall.SIGTERM:
		return "terminated"
	default:
		return e.signal.String()
	}
}

func (e *signalError) exitCode() int { return signalExit + int(e.signal) }

// withSignals returns a context that SIGINT, SIGTERM or SIGHUP cancels. Another signal, or a command
// that doesn't end, ends the process.
func withSignals(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	ch := make(chan os.Signal, 2)
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) { // as under nohup
			signal.Notify(ch, s)
		}
	}
	// A reader of standard output that is gone makes writing fail, instead of killing a run halfway.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	go func() {
		var cause *signalError
		select {
		case s := <-ch:
			cause = &signalError{s.(syscall.Signal)}
		case <-ctx.Done():
			return
		}
		cancel(cause)
		select {
		case s := <-ch:
			cause = &signalError{s.(syscall.Signal)}
		case <-time.After(stopGrace):
			fmt.Fprintf(os.Stderr, "strake: did not stop within %s, and gives up\n", stopGrace)
		}
		os.Exit(cause.exitCode())
	}()
	return ctx, func() {
		signal.Stop(ch)
		cancel(nil)
	}
}
