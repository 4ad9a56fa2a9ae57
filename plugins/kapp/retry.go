package kapp

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	ctlres "carvel.dev/kapp/pkg/kapp/resources"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// busyFor is how long a request is repeated while the server, or what it asks, is in trouble. It is
	// kapp's time.
	busyFor = 5 * time.Second
	// awayFor is how long a request is repeated while the server can't be reached, as when it is started
	// anew.
	awayFor = time.Minute
)

// retry repeats a request while it fails for reasons that pass. The function learns whether an earlier
// try may have reached the server without its answer having reached us.
func (o *objects) retry(f func(again bool) error) error {
	const first, longest, factor, jitter = 100 * time.Millisecond, 2 * time.Second, 2, 0.1
	pause := wait.Backoff{Duration: first, Cap: longest, Factor: factor, Jitter: jitter, Steps: 1 << 16}
	began, again := time.Now(), false
	for {
		err := f(again)
		limit := time.Duration(0)
		switch {
		case err == nil:
			return nil
		case o.ctx.Err() != nil:
			return o.ctx.Err()
		case isAway(err):
			limit, again = awayFor, true
		case isBusy(err), isComing(err):
			limit = busyFor
		}
		if time.Since(began) >= limit {
			return err
		}
		select {
		case <-o.ctx.Done():
			return o.ctx.Err()
		case <-time.After(pause.Step()):
		}
	}
}

// isBusy tells whether an answer of the server says that it couldn't do what it was asked for at the
// moment. What kapp takes for such is in its pkg/kapp/resources/resources.go.
func isBusy(err error) bool {
	text := err.Error()
	return ctlres.IsResourceChangeBlockedErr(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsInternalError(err) ||
		apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err) ||
		strings.Contains(text, "etcdserver:") && (strings.Contains(text, "leader changed") || strings.Contains(text, "timed out")) ||
		apierrors.IsConflict(err) && strings.Contains(text, "Operation cannot be fulfilled on resourcequota")
}

// A comingError says that the server doesn't list or serve a type yet, whose definition was established a moment ago.
type comingError struct{ error }

func (e comingError) Unwrap() error { return e.error }

func isComing(err error) bool {
	_, ok := errors.AsType[comingError](err)
	return ok
}

// isAway tells whether a request got no answer.
func isAway(err error) bool {
	var network *net.OpError
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) ||
		strings.Contains(err.Error(), "http2: client connection lost") || strings.Contains(err.Error(), "http2: server sent GOAWAY")
}
