package gittest

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"sync"
)

// A Counter counts what git asks a server for.
type Counter struct {
	http.Handler
	mu                     sync.Mutex
	lists, fetches, others int
	packed                 int
}

func (c *Counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	text := body
	if r.Header.Get("Content-Encoding") == "gzip" {
		if z, err := gzip.NewReader(bytes.NewReader(body)); err == nil {
			text, _ = io.ReadAll(z)
		}
	}
	c.mu.Lock()
	switch {
	case bytes.Contains(text, []byte("command=ls-refs")):
		c.lists++
	case bytes.Contains(text, []byte("command=fetch")):
		c.fetches++
	case !strings.HasSuffix(r.URL.Path, "/info/refs"):
		c.others++
	}
	c.mu.Unlock()
	r.Body = io.NopCloser(bytes.NewReader(body))
	c.Handler.ServeHTTP(&sized{w, c}, r)
}

// sized counts the bytes of answers.
type sized struct {
	http.ResponseWriter
	c *Counter
}

func (s *sized) Write(p []byte) (int, error) {
	s.c.mu.Lock()
	s.c.packed += len(p)
	s.c.mu.Unlock()
	return s.ResponseWriter.Write(p)
}

// A Count is what was asked for.
type Count struct{ Lists, Fetches, Others int }

// Take returns what was asked for since the last call, and how many bytes the answers had.
func (c *Counter) Take() (Count, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, size := Count{c.lists, c.fetches, c.others}, c.packed
	c.lists, c.fetches, c.others, c.packed = 0, 0, 0, 0
	return n, size
}
