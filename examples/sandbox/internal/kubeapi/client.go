// Package kubeapi makes the few calls to a Kubernetes API server that starting a cluster needs. A full
// client would be larger than the rest of the program.
package kubeapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// A Client talks to one server.
type Client struct {
	HTTP   *http.Client
	server string
}

// ErrNotFound says that the server has no such object.
var ErrNotFound = errors.New("not found")

// New returns a client that trusts the authority and shows the certificate in the named PEM files.
func New(server, caFile, certFile, keyFile string) (*Client, error) {
	ca, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("read authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("read authority: no certificate in %s", caFile)
	}
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("read client certificate: %w", err)
	}
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 5 * time.Second,
	}
	return &Client{HTTP: &http.Client{Transport: transport, Timeout: 10 * time.Second}, server: server}, nil
}

// Get reads an object into dst.
func (c *Client) Get(ctx context.Context, path string, dst any) error {
	body, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, dst); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// Create makes an object. One that is there already is left as it is.
func (c *Client) Create(ctx context.Context, path string, object any) error {
	data, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("encode object for %s: %w", path, err)
	}
	_, err = c.do(ctx, http.MethodPost, path, data)
	return err
}

func (c *Client) do(ctx context.Context, method, path string, data []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.server+path, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return nil, fmt.Errorf("%s %s: %w", method, path, ErrNotFound)
	case resp.StatusCode == http.StatusConflict && method == http.MethodPost:
		return nil, nil
	case resp.StatusCode >= 300:
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, strings.TrimSpace(string(body)))
	}
	return body, nil
}
