package ssa

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// tries is how often a request is made that the server can't answer for the moment, and firstPause how
	// long is waited after the first; each pause is twice the one before. Together that is half a minute.
	tries      = 9
	firstPause = 100 * time.Millisecond
)

// A patience makes requests again that fail only for the moment: the server is busy, being started anew,
// or has closed the connection. All requests of the plugin may be made twice.
type patience struct {
	next http.RoundTripper
	// reached is set once the server has answered: before, nothing is known to be there.
	reached *atomic.Bool
}

func patient(next http.RoundTripper) http.RoundTripper { return patience{next, new(atomic.Bool)} }

// WrappedRoundTripper lets client-go find the transport below.
func (p patience) WrappedRoundTripper() http.RoundTripper { return p.next }

// RoundTrip makes a request.
func (p patience) RoundTrip(r *http.Request) (*http.Response, error) {
	pause := firstPause
	for n := 1; ; n++ {
		resp, err := p.next.RoundTrip(r)
		if err == nil {
			p.reached.Store(true)
		}
		if n == tries || !p.again(r, resp, err) {
			return resp, err
		}
		wait := pause
		if resp != nil {
			if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
				wait = max(wait, time.Duration(seconds)*time.Second)
			}
			_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
			resp.Body.Close()
		}
		if !pauseFor(r.Context(), wait) {
			return nil, r.Context().Err()
		}
		pause *= 2
		if r.Body != nil && r.GetBody != nil {
			body, err := r.GetBody()
			if err != nil {
				return nil, err
			}
			r = r.Clone(r.Context())
			r.Body = body
		}
	}
}

// again tells whether a request may succeed when it is made again.
func (p patience) again(r *http.Request, resp *http.Response, err error) bool {
	if r.Body != nil && r.GetBody == nil || r.Context().Err() != nil {
		return false
	}
	if err != nil {
		return p.reached.Load() && (errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EPIPE) ||
			errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(err.Error(), "http2: "))
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// pauseFor waits; false means that ctx has ended.
func pauseFor(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// insist makes a write again that was refused only for the moment.
func insist(ctx context.Context, forNow func(error) bool, write func() error) error {
	pause := firstPause
	for n := 1; ; n++ {
		err := write()
		if err == nil || n == tries || !forNow(err) || !pauseFor(ctx, pause) {
			return err
		}
		pause *= 2
	}
}

// refusedForNow tells whether somebody else has written between the server's own reading and writing, or an
// admission webhook doesn't answer, whose pods may be on their way.
func refusedForNow(err error) bool {
	if apierrors.IsConflict(err) {
		_, owned := apierrors.StatusCause(err, metav1.CauseTypeFieldManagerConflict)
		return !owned && strings.Contains(err.Error(), "the object has been modified")
	}
	return apierrors.IsInternalError(err) && strings.Contains(err.Error(), "failed calling webhook")
}
