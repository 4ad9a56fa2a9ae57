package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestBound(t *testing.T) {
	began, end := make(chan struct{}), make(chan struct{}, 1)
	t.Cleanup(func() { close(end) })
	var requests int
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		fmt.Fprint(w, "a part")
		w.(http.Flusher).Flush()
		began <- struct{}{}
		select {
		case <-end:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(s.Close)
	ctx, cancel := context.WithCancel(t.Context())
	client := http.Client{Transport: bound(ctx)(http.DefaultTransport)}
	resp, err := client.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	<-began
	cancel()
	give := time.AfterFunc(5*time.Second, func() { t.Error("a response outlives the context"); end <- struct{}{} })
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("reading went on after the context had ended")
	}
	give.Stop()
	again, err := client.Post(s.URL, "", strings.NewReader("x"))
	if err == nil {
		again.Body.Close()
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("request after the end: expected context.Canceled, found %v", err)
	}
	if requests != 1 {
		t.Errorf("%d requests reached the server, expected 1", requests)
	}
}
