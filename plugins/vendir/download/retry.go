package download

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"
)

// waitFor tells how long to wait before asking again after an answer other than 200, or never.
func waitFor(resp *http.Response) time.Duration {
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusRequestTimeout, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
	default:
		return never
	}
	after := resp.Header.Get("Retry-After")
	wait := time.Duration(0)
	if s, err := strconv.ParseUint(after, 10, 31); err == nil {
		wait = time.Duration(s) * time.Second
	} else if t, err := http.ParseTime(after); err == nil {
		wait = max(0, time.Until(t))
	}
	if wait > maxRetryAfter {
		return never
	}
	return wait
}

// retryable tells whether an error of the connection may be gone at the next attempt.
func retryable(err error) time.Duration {
	var ne net.Error
	switch {
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNREFUSED),
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return 0
	case errors.As(err, &ne) && ne.Timeout():
		return 0
	}
	return never
}

// bare says what went wrong with a URL, without the query that the library's own error repeats.
func bare(u *url.URL, err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err
	}
	return fmt.Errorf("downloading %s: %w", Redacted(u), err)
}

// Redacted gives a URL without what may be secret in it: credentials, query and fragment.
func Redacted(u *url.URL) string {
	r := *u
	r.User, r.RawQuery, r.ForceQuery, r.Fragment, r.RawFragment = nil, "", false, "", ""
	return r.String()
}

// Transient tells whether an error of a connection may be gone at the next attempt.
func Transient(err error) bool { return retryable(err) != never }
