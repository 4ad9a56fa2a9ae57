// Package health asks servers whether they are ready.
package health

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// limit is the longest that one question may take; callers ask again.
const limit = 2 * time.Second

// HTTP succeeds if a GET of the URL is answered with 200.
func HTTP(ctx context.Context, client *http.Client, url string) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return fmt.Errorf("read answer of %s: %w", url, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", url, resp.Status, bytes.TrimSpace(body))
	}
	return nil
}

// The messages of grpc.health.v1, framed: a flag for compression, a length of four bytes, and the
// message. The question with no service name is empty; the answer is field 1, SERVING.
var (
	healthQuestion = []byte{0, 0, 0, 0, 0}
	healthServing  = []byte{0, 0, 0, 0, 2, 0x08, 1}
)

// GRPC succeeds if the server at a Unix socket answers gRPC's standard health question with SERVING.
// A gRPC call is one HTTP/2 request, so this needs no gRPC library.
func GRPC(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
		Protocols: new(http.Protocols),
	}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()

	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost/grpc.health.v1.Health/Check", bytes.NewReader(healthQuestion))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("TE", "trailers")
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("ask %s: %w", socket, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return fmt.Errorf("read answer of %s: %w", socket, err)
	}
	if !bytes.Equal(body, healthServing) {
		return fmt.Errorf("%s is not serving yet (%s)", socket, resp.Trailer.Get("Grpc-Message"))
	}
	return nil
}
