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
// registry asks for more patience, up to maxWait for each try.
const (
	tries     = 5
	firstWait = 500 * time.Millisecond
	maxWait   = 30 * time.Second
)

// maxDrain is how much of an unwanted answer is read, in bytes, so that its connection can be used
// again.
const maxDrain = 64 << 10

// A retrying transport sends a request again when the registry is overloaded or has a passing
// fault, and waits as long as Retry-After says.
type retrying struct {
	next  http.RoundTripper
	first time.Duration
}

// RoundTrip sends the request, again and again where that may help and its body can be sent again.
func (t retrying) RoundTrip(req *http.Request) (*http.Response, error) {
	for try := 1; ; try++ {
		resp, err := t.next.RoundTrip(req)
		if err != nil || !passing(resp.StatusCode) || try == tries || !rewind(req) {
			return resp, err
		}
		wait := t.wait(resp, try)
		if wait > maxWait {
			return resp, nil
		}
		_, _ = io.CopyN(io.Discard, resp.Body, maxDrain)
		resp.Body.Close()
		if err := sleep(req.Context(), wait); err != nil {
			return nil, err
		}
	}
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
// each try, and up to half as much more, so that many clients don't come back at once.
func (t retrying) wait(resp *http.Response, try int) time.Duration {
	after := resp.Header.Get("Retry-After")
	if seconds, err := strconv.Atoi(after); err == nil && seconds >= 0 {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(after); err == nil {
		return max(0, time.Until(at))
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
