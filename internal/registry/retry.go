package registry

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// The bounds of retrying: with the waits doubled each time this takes 7.5 s at most, unless the
// registry asks for more patience, up to maxWait for each try. What took long to fail, such as an answer
// that never came, is tried only once more.
const (
	tries     = 5
	slowTries = 2
	firstWait = 500 * time.Millisecond
	maxWait   = 30 * time.Second
)

// maxDrain is how much of an unwanted answer is read, in bytes, so that its connection can be used
// again.
const maxDrain = 64 << 10

// A retrying transport sends a request again when the registry is overloaded or has a passing
// fault, and waits as long as Retry-After says. It keeps within each host's limit.
type retrying struct {
	next  http.RoundTripper
	first time.Duration
	gates *gates
}

// RoundTrip sends the request, again and again where that may help and its body can be sent again.
func (t *retrying) RoundTrip(req *http.Request) (*http.Response, error) {
	for try := 1; ; try++ {
		resp, wait, err := t.once(req, try)
		if wait > maxWait || !again(req, resp, err, try) || !rewind(req) {
			return resp, err
		}
		if resp != nil {
			_, _ = io.CopyN(io.Discard, resp.Body, maxDrain)
			resp.Body.Close()
		}
		if err := sleep(req.Context(), wait); err != nil {
			return nil, err
		}
	}
}

// once sends the request once, when it is its turn, and returns how long to wait before the next try.
func (t *retrying) once(req *http.Request, try int) (*http.Response, time.Duration, error) {
	g := t.gates.of(req.URL.Host)
	if counts := req.Body == nil || req.Body == http.NoBody; counts {
		if err := g.enter(req.Context(), try > 1); err != nil {
			return nil, 0, err
		}
		defer g.leave()
	} else if err := g.pause(req.Context()); err != nil {
		return nil, 0, err
	}
	began := time.Now()
	resp, err := t.next.RoundTrip(req)
	wait := t.wait(resp, try)
	switch {
	case err != nil:
	case resp.StatusCode == http.StatusTooManyRequests && wait <= maxWait:
		g.tooMany(began, wait)
	case !passing(resp.StatusCode):
		g.wentWell()
	}
	return resp, wait, err
}

// again tells whether a request should be sent again after its try. What may have arrived, and changed
// something, isn't.
func again(req *http.Request, resp *http.Response, err error, try int) bool {
	if err != nil {
		return Passing(err) && reads(req) && try < slowTries
	}
	return passing(resp.StatusCode) && try < tries
}

// passing tells whether a later request may get another answer.
func passing(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusRequestTimeout, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// reads tells whether a request only reads.
func reads(req *http.Request) bool {
	return req.Method == http.MethodGet || req.Method == http.MethodHead
}

// rewind makes the request ready to be sent again.
func rewind(req *http.Request) bool {
	if req.Body == nil || req.Body == http.NoBody {
		return true
	}
	if req.GetBody == nil {
		return false
	}
	body, err := req.GetBody()
	if err != nil {
		return false
	}
	req.Body = body
	return true
}

// wait is how long to wait after an answer: what Retry-After says, else the first wait doubled with
// each try, and up to half as much more, so that many clients don't come back at once. The answer is
// nil when there was none.
func (t *retrying) wait(resp *http.Response, try int) time.Duration {
	if resp != nil {
		after := resp.Header.Get("Retry-After")
		if seconds, err := strconv.Atoi(after); err == nil && seconds >= 0 {
			return time.Duration(seconds) * time.Second
		}
		if at, err := http.ParseTime(after); err == nil {
			return max(0, time.Until(at))
		}
	}
	wait := t.first << (try - 1)
	return wait + rand.N(wait/2+1)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
