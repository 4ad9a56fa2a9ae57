package registry

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
)

// maxPing is how much of the answer to a ping is kept, in bytes.
const maxPing = 64 << 10

// A pinging transport asks each registry only once how to authenticate: the library does so for each
// repository. Only what tells how is kept; a registry that fails to is asked again next time.
type pinging struct {
	next http.RoundTripper
	// plain are the hosts to ask over plain HTTP.
	plain map[string]bool
	// allowHTTP asks those over plain HTTP too that can't be asked by HTTPS.
	allowHTTP bool

	mu    sync.Mutex
	known map[string]*ping
}

type ping struct {
	done chan struct{}
	resp *http.Response
	body []byte
	err  error
}

// RoundTrip answers a ping from memory where it can.
func (t *pinging) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet || req.URL.Path != "/v2/" || req.Header.Get("Authorization") != "" {
		return t.next.RoundTrip(req)
	}
	if req.URL.Scheme == "https" {
		if t.speaksPlain(req.URL.Host) {
			return t.ping(overHTTP(req))
		}
		resp, err := t.ping(req)
		if err == nil || !t.allowHTTP || req.Context().Err() != nil {
			return resp, err
		}
		if plain, plainErr := t.ping(overHTTP(req)); plainErr == nil {
			return plain, nil
		}
		return nil, err
	}
	return t.ping(req)
}

// overHTTP is the same request over plain HTTP. The library takes the scheme of the answered request
// for everything that follows.
func overHTTP(req *http.Request) *http.Request {
	req = req.Clone(req.Context())
	req.URL.Scheme = "http"
	return req
}

// ping asks a registry, or answers from memory.
func (t *pinging) ping(req *http.Request) (*http.Response, error) {
	key := req.URL.Scheme + "://" + req.URL.Host
	for {
		p, mine := t.entry(key)
		if mine {
			p.ask(t.next, req)
			if !p.tells() {
				t.forget(key)
			}
			close(p.done)
			return p.answer(req)
		}
		select {
		case <-req.Context().Done():
			return nil, context.Cause(req.Context())
		case <-p.done:
		}
		if !interrupted(p.err) {
			return p.answer(req)
		}
	}
}

// speaksPlain tells whether a host is to be asked over plain HTTP, or has answered so before.
func (t *pinging) speaksPlain(host string) bool {
	if t.plain[host] {
		return true
	}
	t.mu.Lock()
	p := t.known["http://"+host]
	t.mu.Unlock()
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return p.tells()
	default:
		return false
	}
}

// entry returns the ping of an address, and whether the caller has made it and has to ask.
func (t *pinging) entry(key string) (*ping, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p, ok := t.known[key]; ok {
		return p, false
	}
	p := &ping{done: make(chan struct{})}
	t.known[key] = p
	return p, true
}

func (t *pinging) forget(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.known, key)
}

func (p *ping) ask(next http.RoundTripper, req *http.Request) {
	resp, err := next.RoundTrip(req)
	if err != nil {
		p.err = err
		return
	}
	defer resp.Body.Close()
	p.resp = resp
	p.body, p.err = io.ReadAll(io.LimitReader(resp.Body, maxPing))
}

// tells tells whether the answer says how to authenticate. It must have come.
func (p *ping) tells() bool {
	return p.err == nil && (p.resp.StatusCode == http.StatusOK || p.resp.StatusCode == http.StatusUnauthorized)
}

// answer makes a copy of the answer for a request.
func (p *ping) answer(req *http.Request) (*http.Response, error) {
	if p.err != nil {
		return nil, p.err
	}
	resp := *p.resp
	resp.Header = resp.Header.Clone()
	resp.Body = io.NopCloser(bytes.NewReader(p.body))
	resp.ContentLength = int64(len(p.body))
	resp.Request = req
	return &resp, nil
}
