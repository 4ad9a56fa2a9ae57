package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// defaultSilence is how long a registry may take to answer. Those that fetch an image from
	// somewhere else first take many seconds.
	defaultSilence = 30 * time.Second
	// writeSilence is how many times as long a registry may take to store what it was sent: a layer of
	// many gigabytes is copied then.
	writeSilence = 10
)

// A patient transport gives up on requests that nothing happens to. How long a transfer takes in all
// doesn't matter as long as bytes come or go.
type patient struct {
	next    http.RoundTripper
	silence time.Duration
}

// RoundTrip fails with a [Fault] when the other side is silent.
func (t patient) RoundTrip(req *http.Request) (*http.Response, error) {
	limit, host := t.silence, req.URL.Host
	if !reads(req) {
		limit *= writeSilence
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	w := newWatch(limit, func() { cancel(silent(host, limit)) })
	w.arm()
	out := req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { w.arm() }}))
	if req.Body != nil && req.Body != http.NoBody {
		out.Body = sending{req.Body, w}
	}
	resp, err := t.next.RoundTrip(out)
	w.end()
	if err != nil {
		silence, isSilence := errors.AsType[*Fault](context.Cause(ctx))
		cancel(nil)
		switch {
		case req.Context().Err() != nil:
			return nil, err
		case isSilence:
			return nil, silence
		}
		return nil, unreachable(host, err)
	}
	resp.Request = req
	body := &receiving{ReadCloser: resp.Body, ctx: ctx, cancel: cancel, host: host}
	body.watch = newWatch(t.silence, func() { cancel(stalled(host, body.got.Load(), t.silence)) })
	resp.Body = body
	return resp, nil
}

// A watch calls a function when nothing is heard of the other side for too long.
type watch struct {
	limit time.Duration

	mu    sync.Mutex
	timer *time.Timer
	ended bool
}

// newWatch returns a watch that isn't armed yet.
func newWatch(limit time.Duration, expired func()) *watch {
	w := &watch{limit: limit, timer: time.AfterFunc(limit, expired)}
	w.timer.Stop()
	return w
}

// arm begins the time anew.
func (w *watch) arm() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ended {
		w.timer.Reset(w.limit)
	}
}

// disarm stops the time, as long as it isn't the other side's turn.
func (w *watch) disarm() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer.Stop()
}

// end stops the time for good.
func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	w.timer.Stop()
}

// A sending body is watched between the reads: while it is read, the other side need not do anything.
type sending struct {
	io.ReadCloser
	watch *watch
}

func (s sending) Read(p []byte) (int, error) {
	s.watch.disarm()
	n, err := s.ReadCloser.Read(p)
	s.watch.arm()
	return n, err
}

// A receiving body is watched while it is read.
type receiving struct {
	io.ReadCloser
	watch  *watch
	ctx    context.Context
	cancel context.CancelCauseFunc
	host   string
	got    atomic.Int64
}

func (r *receiving) Read(p []byte) (int, error) {
	r.watch.arm()
	n, err := r.ReadCloser.Read(p)
	r.watch.disarm()
	r.got.Add(int64(n))
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	if stall, ok := errors.AsType[*Fault](context.Cause(r.ctx)); ok {
		return n, stall
	}
	if r.ctx.Err() != nil {
		return n, err
	}
	return n, brokenOff(r.host, r.got.Load())
}

// Close lets go of the request.
func (r *receiving) Close() error {
	r.watch.end()
	err := r.ReadCloser.Close()
	r.cancel(nil)
	return err
}
