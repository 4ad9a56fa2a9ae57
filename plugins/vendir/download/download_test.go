package download

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const content = "the content of the file"

func sumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func fastClient() *Client {
	c := New(nil, "strake/test")
	c.pause = time.Millisecond
	c.stall = 200 * time.Millisecond
	return c
}

func get(ctx context.Context, t *testing.T, r Request) (string, error) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("what an earlier attempt has left behind, longer than the content"); err != nil {
		t.Fatal(err)
	}
	if r.Max == 0 {
		r.Max = 1 << 20
	}
	answer, err := fastClient().File(ctx, f, r)
	if err != nil {
		return "", err
	}
	text, rerr := os.ReadFile(f.Name())
	if rerr != nil {
		t.Fatal(rerr)
	}
	if answer.SHA256 != sumOf(string(text)) {
		t.Errorf("the sum %s is not that of the file", answer.SHA256)
	}
	return string(text), nil
}

// hijack breaks the connection after some bytes of the content.
func hijack(t *testing.T, w http.ResponseWriter, declared, sent string) {
	t.Helper()
	conn, buf, err := w.(http.Hijacker).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	_, _ = buf.WriteString("HTTP/1.1 200 OK\r\nContent-Length: " + declared + "\r\n\r\n" + sent)
	_ = buf.Flush()
	conn.Close()
}

func TestFile(t *testing.T) {
	ok := func(w http.ResponseWriter) { _, _ = io.WriteString(w, content) }
	tests := map[string]struct {
		// answer is given the number of the request, from 1.
		answer   func(t *testing.T, n int32, w http.ResponseWriter, r *http.Request)
		request  Request
		requests int32
		err      string
	}{
		"plain":     {answer: func(_ *testing.T, _ int32, w http.ResponseWriter, _ *http.Request) { ok(w) }, requests: 1},
		"sum":       {answer: func(_ *testing.T, _ int32, w http.ResponseWriter, _ *http.Request) { ok(w) }, request: Request{SHA256: strings.ToUpper(sumOf(content))}, requests: 1},
		"wrong sum": {answer: func(_ *testing.T, _ int32, w http.ResponseWriter, _ *http.Request) { ok(w) }, request: Request{SHA256: sumOf("other")}, requests: 1, err: "expected sha256:" + sumOf("other")},
		"too large": {answer: func(_ *testing.T, _ int32, w http.ResponseWriter, _ *http.Request) { ok(w) }, request: Request{Max: 5}, requests: 1, err: "larger than 5 bytes"},
		"just fits": {answer: func(_ *testing.T, _ int32, w http.ResponseWriter, _ *http.Request) { ok(w) }, request: Request{Max: int64(len(content))}, requests: 1},
		"too large, unannounced": {answer: func(_ *testing.T, _ int32, w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, content[:3])
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, content[3:])
		}, request: Request{Max: 5}, requests: 1, err: "larger than 5 bytes"},
		"not found":      {answer: status(404), requests: 1, err: "answered 404 Not Found"},
		"unauthorized":   {answer: status(401), requests: 1, err: "answered 401 Unauthorized"},
		"forbidden":      {answer: status(403), requests: 1, err: "answered 403 Forbidden"},
		"no content":     {answer: status(204), requests: 1, err: "answered 204 No Content"},
		"always failing": {answer: status(500), requests: 4, err: "answered 500"},
		"failing once":   {answer: once(status(503)), requests: 2},
		"busy once":      {answer: once(status(429)), requests: 2},
		"wait too long": {answer: func(_ *testing.T, _ int32, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(429)
		}, requests: 1, err: "429"},
		"truncated once": {answer: once(func(t *testing.T, _ int32, w http.ResponseWriter, _ *http.Request) { hijack(t, w, "23", content[:7]) }), requests: 2},
		"truncated":      {answer: func(t *testing.T, _ int32, w http.ResponseWriter, _ *http.Request) { hijack(t, w, "23", content[:7]) }, requests: 4, err: "unexpected EOF"},
		"no answer once": {answer: once(func(t *testing.T, _ int32, w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }), requests: 2},
		"reset once": {answer: once(func(t *testing.T, _ int32, w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_ = conn.(*net.TCPConn).SetLinger(0) // closing sends a reset
			conn.Close()
		}), requests: 2},
		"stalled once": {answer: once(stall), requests: 2},
		"redirect loop": {answer: func(_ *testing.T, _ int32, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/again", http.StatusFound)
		}, requests: 10, err: "10 redirects"},
		"redirect to file": {answer: func(_ *testing.T, _ int32, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "file:///etc/passwd")
			w.WriteHeader(302)
		}, requests: 1, err: "scheme"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var n atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if got := r.UserAgent(); got != "strake/test" {
					t.Errorf("the user agent is %q", got)
				}
				test.answer(t, n.Add(1), w, r)
			}))
			defer server.Close()
			test.request.URL = server.URL + "/f?token=s3cret"
			text, err := get(t.Context(), t, test.request)
			switch {
			case test.err == "" && (err != nil || text != content):
				t.Errorf("got %q, %v", text, err)
			case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
				t.Errorf("got %v, want %q", err, test.err)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error shows the query: %v", err)
			}
			if n.Load() != test.requests {
				t.Errorf("%d requests, want %d", n.Load(), test.requests)
			}
		})
	}
}

type answer = func(t *testing.T, n int32, w http.ResponseWriter, r *http.Request)

func status(code int) answer {
	return func(_ *testing.T, _ int32, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// once gives a first answer, and the content from then on.
func once(first answer) answer {
	return func(t *testing.T, n int32, w http.ResponseWriter, r *http.Request) {
		if n == 1 {
			first(t, n, w, r)
			return
		}
		_, _ = io.WriteString(w, content)
	}
}

func stall(_ *testing.T, _ int32, w http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(w, content[:4])
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

func TestRetryAfter(t *testing.T) {
	var n atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		_, _ = io.WriteString(w, content)
	}))
	defer server.Close()
	begin := time.Now()
	if _, err := get(t.Context(), t, Request{URL: server.URL}); err != nil {
		t.Fatal(err)
	}
	if waited := time.Since(begin); waited < time.Second {
		t.Errorf("asked again after %v", waited)
	}
}

func TestRefusedConnection(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	if _, err := get(t.Context(), t, Request{URL: server.URL + "/x"}); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
}

func TestCredentials(t *testing.T) {
	type seen struct{ first, second string }
	var got seen
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got.second = r.Header.Get("Authorization")
		_, _ = io.WriteString(w, content)
	}))
	defer other.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		got.first = r.Header.Get("Authorization")
		http.Redirect(w, r, other.URL+"/f", http.StatusFound)
	})
	mux.HandleFunc("/here", func(w http.ResponseWriter, r *http.Request) {
		got.first = r.Header.Get("Authorization")
		http.Redirect(w, r, "/end", http.StatusFound)
	})
	mux.HandleFunc("/end", func(w http.ResponseWriter, r *http.Request) {
		got.second = r.Header.Get("Authorization")
		_, _ = io.WriteString(w, content)
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	const basic = "Basic bWU6cHc=" // me:pw
	inURL := strings.Replace(server.URL, "http://", "http://me:pw@", 1)
	tests := map[string]struct {
		request Request
		want    seen
	}{
		"same host":         {Request{URL: server.URL + "/here", Username: "me", Password: "pw"}, seen{basic, basic}},
		"other port":        {Request{URL: server.URL + "/away", Username: "me", Password: "pw"}, seen{basic, ""}},
		"in url, same host": {Request{URL: inURL + "/here"}, seen{basic, basic}},
		"in url, other":     {Request{URL: inURL + "/away"}, seen{basic, ""}},
		"apart wins":        {Request{URL: strings.Replace(inURL, "me:pw", "x:y", 1) + "/here", Username: "me", Password: "pw"}, seen{basic, basic}},
		"none":              {Request{URL: server.URL + "/away"}, seen{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got = seen{}
			if _, err := get(t.Context(), t, test.request); err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestSameOrigin(t *testing.T) {
	tests := map[[2]string]bool{
		{"https://h/a", "https://H:443/b"}:   true,
		{"http://h/a", "http://h:80/b"}:      true,
		{"https://h/a", "https://H/b"}:       true,
		{"https://h/a", "http://h/a"}:        false,
		{"https://h/a", "https://sub.h/a"}:   false,
		{"https://h:1/a", "https://h:2/a"}:   false,
		{"https://h:1/a", "https://h:1/b?c"}: true,
	}
	for pair, want := range tests {
		a, _ := url.Parse(pair[0])
		b, _ := url.Parse(pair[1])
		if got := SameOrigin(a, b); got != want {
			t.Errorf("%v: got %v", pair, got)
		}
	}
}

func TestCancel(t *testing.T) {
	began := make(chan struct{}, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, content)
		w.(http.Flusher).Flush()
		began <- struct{}{}
		<-r.Context().Done()
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-began; cancel() }()
	begin := time.Now()
	if _, err := get(ctx, t, Request{URL: server.URL}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("took %v to end", took)
	}
}

func TestValidators(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
		if r.Header.Get("If-None-Match") == `"1"` || r.Header.Get("If-Modified-Since") != "" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = io.WriteString(w, content)
	}))
	defer server.Close()
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	first, err := fastClient().File(t.Context(), f, Request{URL: server.URL, Max: 100})
	if err != nil || first.NotModified || first.SHA256 != sumOf(content) || first.ETag != `"1"` {
		t.Fatalf("%+v, %v", first, err)
	}
	for name, unless := range map[string]Validators{"both": first.Validators, "time": {LastModified: first.LastModified}} {
		again, err := fastClient().File(t.Context(), f, Request{URL: server.URL, Max: 100, SHA256: sumOf("x"), Unless: unless})
		if err != nil || !again.NotModified {
			t.Errorf("%s: %+v, %v", name, again, err)
		}
	}
	changed, err := fastClient().File(t.Context(), f, Request{URL: server.URL, Max: 100, Unless: Validators{ETag: `"0"`}})
	if err != nil || changed.NotModified || changed.SHA256 != sumOf(content) {
		t.Errorf("%+v, %v", changed, err)
	}
}

// A 304 that nobody has asked for is an error: there is no content.
func TestNotModifiedUnasked(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) }))
	defer server.Close()
	if _, err := get(t.Context(), t, Request{URL: server.URL}); err == nil || !strings.Contains(err.Error(), "304") {
		t.Errorf("got %v", err)
	}
}

func TestCheck(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); r.Method != http.MethodHead || password != "pw" {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer server.Close()
	if err := fastClient().Check(t.Context(), Request{URL: server.URL, Username: "me", Password: "pw"}); err != nil {
		t.Error(err)
	}
	if se, ok := errors.AsType[*StatusError](fastClient().Check(t.Context(), Request{URL: server.URL})); !ok || se.Code != http.StatusForbidden {
		t.Errorf("got %v", se)
	}
}
