package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestHandler(t *testing.T) {
	tests := map[string]struct {
		whom   string
		method string
		path   string
		status int
		body   string
	}{
		"greeting":       {"stranger", http.MethodGet, "/", 200, "<h1>Hello stranger!</h1>\n"},
		"escaped":        {"<b>", http.MethodGet, "/", 200, "<h1>Hello &lt;b&gt;!</h1>\n"},
		"health":         {"x", http.MethodGet, "/healthz", 200, "ok\n"},
		"unknown path":   {"x", http.MethodGet, "/other", 404, "404 page not found\n"},
		"unknown method": {"x", http.MethodPost, "/", 405, "Method Not Allowed\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			handler(test.whom).ServeHTTP(w, httptest.NewRequest(test.method, test.path, nil))
			if w.Code != test.status || w.Body.String() != test.body {
				t.Errorf("got %d %q, expected %d %q", w.Code, w.Body, test.status, test.body)
			}
		})
	}
}

func TestServeFinishesRequestsWhenStopped(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	slow := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		stop()
		time.Sleep(50 * time.Millisecond)
		io.WriteString(w, "done")
	})
	served := make(chan error, 1)
	go func() { served <- serve(ctx, listener, slow) }()

	response, err := http.Get("http://" + listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != "done" {
		t.Errorf("got %q (%v), expected the running request to finish", body, err)
	}
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
}
