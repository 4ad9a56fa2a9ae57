// Package download gets files over HTTP: with retries, a checksum, a limit on the size, and
// credentials that only their own host sees.
package download

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// A Client downloads files. It is safe for concurrent use.
type Client struct {
	http      *http.Client
	userAgent string
	// pause is the wait before the second attempt; it doubles from one to the next.
	pause time.Duration
	// stall is how long a server may send nothing.
	stall time.Duration
}

const (
	attempts = 4
	// maxRetryAfter is the longest wait that a server can ask for and get.
	maxRetryAfter = 30 * time.Second
	maxRedirects  = 10
)

// New returns a Client that sends its requests through rt; nil stands for a transport with the
// proxies of the environment.
func New(rt http.RoundTripper, userAgent string) *Client {
	if rt == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.ResponseHeaderTimeout = time.Minute
		rt = t
	}
	return &Client{
		http:      &http.Client{Transport: rt, CheckRedirect: checkRedirect},
		userAgent: userAgent,
		pause:     500 * time.Millisecond,
		stall:     time.Minute,
	}
}

// checkRedirect takes the credentials away from a request that goes to another scheme, host or port
// than the first one. The library alone would leave them to subdomains and to plain HTTP.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return fmt.Errorf("stopped after %d redirects", maxRedirects)
	}
	if s := req.URL.Scheme; s != "http" && s != "https" {
		return fmt.Errorf("redirected to a URL of the scheme %q, expected http or https", s)
	}
	if !SameOrigin(req.URL, via[0].URL) {
		req.Header.Del("Authorization")
	}
	// The referring URL may hold what only its own host is to know.
	req.Header.Del("Referer")
	return nil
}

// SameOrigin tells whether two URLs lead to the same server: by scheme, host and port.
func SameOrigin(a, b *url.URL) bool {
	port := func(u *url.URL) string {
		switch {
		case u.Port() != "":
			return u.Port()
		case u.Scheme == "https":
			return "443"
		default:
			return "80"
		}
	}
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

// A Request says what to download.
type Request struct {
	// URL is what to get. Credentials in it are used as Username and Password, unless those are set.
	URL string
	// Username and Password are for the URL's own host.
	Username, Password string
	// Header is sent as well. Its Authorization is for the URL's own host.
	Header http.Header
	// SHA256 is the checksum in hex that the content must have; empty means any.
	SHA256 string
	// Unless is what the server has said of content that need not be sent again.
	Unless Validators
	// Max is the size in bytes that the content may have.
	Max int64
	// Progress, if not nil, is told how many bytes have come and how many there will be, 0 if unknown.
	Progress func(current, total int64)
}

// Validators are what a server says of content by which it knows it again
// (https://www.rfc-editor.org/rfc/rfc9110#name-validator-fields).
type Validators struct {
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"lastModified,omitempty"`
}

// An Answer is what a download has led to.
type Answer struct {
	// SHA256 is the checksum of the content in hex.
	SHA256 string
	// NotModified means that the content is still what the request's validators stand for, and wasn't sent.
	NotModified bool
	Validators
}

// A StatusError is an answer other than 200 OK.
type StatusError struct {
	// URL is the address without credentials and query.
	URL    string
	Code   int
	Status string
}

func (e *StatusError) Error() string { return fmt.Sprintf("%s answered %s", e.URL, e.Status) }

// File downloads into f, from its beginning. It tries again where a server is busy or a connection breaks.
func (c *Client) File(ctx context.Context, f *os.File, r Request) (Answer, error) {
	answer, u, err := c.try(ctx, r, func(ctx context.Context, u *url.URL, r Request) (Answer, time.Duration, error) {
		return c.get(ctx, f, u, r)
	})
	if err == nil && !answer.NotModified && r.SHA256 != "" && !strings.EqualFold(r.SHA256, answer.SHA256) {
		err = fmt.Errorf("%s has the checksum sha256:%s, expected sha256:%s", Redacted(u), answer.SHA256, strings.ToLower(r.SHA256))
	}
	return answer, err
}

// Check asks by HEAD whether a file would be given to who asks. A server that doesn't know HEAD is a
// [*StatusError] with the code 405 or 501.
func (c *Client) Check(ctx context.Context, r Request) error {
	_, _, err := c.try(ctx, r, func(ctx context.Context, u *url.URL, r Request) (Answer, time.Duration, error) {
		resp, wait, err := c.ask(ctx, http.MethodHead, u, r)
		if err != nil {
			return Answer{}, wait, err
		}
		return Answer{}, never, resp.Body.Close()
	})
	return err
}

// try makes attempts until one succeeds or another can't.
func (c *Client) try(ctx context.Context, r Request, attempt func(context.Context, *url.URL, Request) (Answer, time.Duration, error)) (Answer, *url.URL, error) {
	u, err := url.Parse(r.URL)
	if err != nil || u.Host == "" {
		return Answer{}, nil, errors.New("not a URL")
	}
	if u.User != nil {
		if r.Username == "" && r.Password == "" {
			r.Username = u.User.Username()
			r.Password, _ = u.User.Password()
		}
		u.User = nil
	}
	for n := 1; ; n++ {
		answer, wait, err := attempt(ctx, u, r)
		if err == nil {
			return answer, u, nil
		}
		if ctx.Err() != nil {
			return Answer{}, u, fmt.Errorf("downloading %s: %w", Redacted(u), ctx.Err())
		}
		if wait < 0 || n == attempts {
			return Answer{}, u, err
		}
		select {
		case <-ctx.Done():
			return Answer{}, u, fmt.Errorf("downloading %s: %w", Redacted(u), ctx.Err())
		case <-time.After(max(wait, c.pause<<(n-1))):
		}
	}
}

// never is the wait of an error that another attempt doesn't mend.
const never = time.Duration(-1)

var errStalled = errors.New("the server stopped sending")

// ask sends a request. After an error, it tells how long to wait before the next attempt.
func (c *Client) ask(ctx context.Context, method string, u *url.URL, r Request) (*http.Response, time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, never, err
	}
	for key, values := range r.Header {
		req.Header[http.CanonicalHeaderKey(key)] = values
	}
	if c.userAgent != "" {
		req.Header.Set("User-Agent", c.userAgent)
	}
	if r.Username != "" || r.Password != "" {
		req.SetBasicAuth(r.Username, r.Password)
	}
	if r.Unless.ETag != "" {
		req.Header.Set("If-None-Match", r.Unless.ETag)
	} else if r.Unless.LastModified != "" {
		req.Header.Set("If-Modified-Since", r.Unless.LastModified)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, retryable(err), bare(u, err)
	}
	asked := r.Unless != Validators{}
	if resp.StatusCode != http.StatusOK && (resp.StatusCode != http.StatusNotModified || !asked) {
		resp.Body.Close()
		return nil, waitFor(resp), &StatusError{URL: Redacted(u), Code: resp.StatusCode, Status: resp.Status}
	}
	return resp, 0, nil
}

// get downloads once.
func (c *Client) get(ctx context.Context, f *os.File, u *url.URL, r Request) (Answer, time.Duration, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := restart(f); err != nil {
		return Answer{}, never, err
	}
	resp, wait, err := c.ask(ctx, http.MethodGet, u, r)
	if err != nil {
		return Answer{}, wait, err
	}
	defer resp.Body.Close()
	answer := Answer{Validators: Validators{ETag: resp.Header.Get("ETag"), LastModified: resp.Header.Get("Last-Modified")}}
	if resp.StatusCode == http.StatusNotModified {
		answer.NotModified = true
		return answer, 0, nil
	}
	if resp.ContentLength > r.Max {
		return answer, never, tooLarge(u, r.Max)
	}
	stalled := time.AfterFunc(c.stall, func() { cancel(errStalled) })
	defer stalled.Stop()
	sum := sha256.New()
	in := &body{r: resp.Body, alive: func() { stalled.Reset(c.stall) }, total: resp.ContentLength, sum: sum, progress: r.Progress}
	n, err := io.Copy(f, io.LimitReader(in, r.Max+1))
	switch {
	case errors.Is(context.Cause(ctx), errStalled):
		return answer, 0, bare(u, errStalled)
	case err != nil:
		return answer, retryable(err), bare(u, err)
	case n > r.Max:
		return answer, never, tooLarge(u, r.Max)
	}
	answer.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return answer, 0, nil
}

func restart(f *os.File) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return f.Truncate(0)
}

func tooLarge(u *url.URL, limit int64) error {
	return fmt.Errorf("%s is larger than %d bytes", Redacted(u), limit)
}

// A body reads an answer and tells of it.
type body struct {
	r        io.Reader
	alive    func()
	n, total int64
	sum      hash.Hash
	progress func(current, total int64)
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if n > 0 {
		b.alive()
		b.sum.Write(p[:n])
		b.n += int64(n)
		if b.progress != nil {
			b.progress(b.n, max(b.total, 0))
		}
	}
	return n, err
}
