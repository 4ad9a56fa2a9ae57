package registry_test

import (
	"context"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"

	"strake.dev/strake/internal/registry"
)

// serveTLS starts a registry that speaks HTTPS, and returns it with the file of the certificate that
// vouches for it.
func serveTLS(t *testing.T) (s *server, ca string) {
	s = newServer()
	h := httptest.NewUnstartedServer(s)
	h.EnableHTTP2 = true
	h.Config.ErrorLog = log.New(io.Discard, "", 0)
	h.StartTLS()
	t.Cleanup(h.Close)
	s.host = strings.TrimPrefix(h.URL, "https://")
	ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return s, ca
}

func TestPrivateCA(t *testing.T) {
	s, ca := serveTLS(t)
	plain := serve(t)
	ref, err := name.NewTag(s.host + "/app:1")
	if err != nil {
		t.Fatal(err)
	}
	for title, c := range map[string]struct {
		opts    registry.Options
		private bool
		want    string
	}{
		"without":    {registry.Options{}, false, "certificate signed by unknown authority"},
		"with":       {registry.Options{CAs: []string{ca}}, true, ""},
		"plain HTTP": {registry.Options{CAs: []string{ca}, PlainHTTP: []string{s.host}}, false, "400 Bad Request"},
	} {
		t.Run(title, func(t *testing.T) {
			c.opts.FirstWait = time.Millisecond
			client, err := registry.New(c.opts)
			if err != nil {
				t.Fatal(err)
			}
			if private, err := client.PrivateCA(t.Context(), ref.Registry); err != nil || private != c.private {
				t.Errorf("before any other request: private %v, %v", private, err)
			}
			err = client.Push(t.Context(), ref, empty.Image)
			if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error: %v, expected %q", err, c.want)
			}
			if private, err := client.PrivateCA(t.Context(), ref.Registry); err != nil || private != c.private {
				t.Errorf("private %v, %v", private, err)
			}
			other := plain.push(t, "app:1")
			if private, err := client.PrivateCA(t.Context(), other.Registry); err != nil || private {
				t.Errorf("one that speaks plain HTTP: private %v, %v", private, err)
			}
		})
	}
}

// SSL_CERT_FILE is the system's word: a daemon may well share it.
func TestCertFileOfTheSystem(t *testing.T) {
	if host := os.Getenv("TEST_REGISTRY_HOST"); host != "" {
		client, err := registry.New(registry.Options{FirstWait: time.Millisecond, CAs: strings.Fields(os.Getenv("TEST_REGISTRY_CA"))})
		if err != nil {
			t.Fatal(err)
		}
		ref, err := name.NewTag(host + "/app:1")
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Push(t.Context(), ref, empty.Image); err != nil {
			t.Fatal(err)
		}
		if private, err := client.PrivateCA(t.Context(), ref.Registry); err != nil || private {
			t.Errorf("private %v, %v", private, err)
		}
		return
	}
	s, ca := serveTLS(t)
	for _, own := range []string{"", ca} {
		// The system's certificates are read once in a process.
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCertFileOfTheSystem$")
		cmd.Env = append(os.Environ(), "TEST_REGISTRY_HOST="+s.host, "TEST_REGISTRY_CA="+own, "SSL_CERT_FILE="+ca)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("with CA %q: %v\n%s", own, err, out)
		}
	}
}

func TestPlainHTTP(t *testing.T) {
	s := serve(t)
	s.push(t, "app:1")
	const host = "registry.example.com:5000"
	var dials atomic.Int32
	redirected := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		dials.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, s.host)
	}}
	for title, c := range map[string]struct {
		hosts  []string
		scheme string
		want   string
	}{
		"listed":     {[]string{"other", host}, "http", ""},
		"not listed": {[]string{"registry.example.com"}, "https", "server gave HTTP response to HTTPS client"},
	} {
		t.Run(title, func(t *testing.T) {
			redirected.CloseIdleConnections()
			dials.Store(0)
			client, err := registry.New(registry.Options{FirstWait: time.Millisecond, Transport: redirected, PlainHTTP: c.hosts})
			if err != nil {
				t.Fatal(err)
			}
			repo, err := client.Repository(host + "/app")
			if err != nil || repo.Scheme() != c.scheme {
				t.Errorf("scheme %s, %v", repo.Scheme(), err)
			}
			// A name that knows nothing of it will do as well.
			for _, ref := range []string{host + "/app:1", repo.Tag("1").Name()} {
				tag, err := name.NewTag(ref)
				if err != nil {
					t.Fatal(err)
				}
				_, err = client.Head(t.Context(), tag)
				if (c.want == "") != (err == nil) || err != nil && !strings.Contains(registry.Reason(err), c.want) {
					t.Errorf("error: %v, expected %q", err, c.want)
				}
			}
			if _, err := client.Head(t.Context(), repo.Tag("1")); (c.want == "") != (err == nil) {
				t.Errorf("error: %v", err)
			}
			if got := dials.Load(); c.want == "" && got != 1 {
				t.Errorf("%d connections, expected one", got)
			}
		})
	}
}

func TestBadOptions(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, []byte("no certificate\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for title, c := range map[string]struct {
		opts registry.Options
		want string
	}{
		"missing file":   {registry.Options{CAs: []string{filepath.Join(dir, "nope.pem")}}, "CA certificates for registries: open " + dir + "/nope.pem: no such file or directory"},
		"folder":         {registry.Options{CAs: []string{dir}}, "is a directory"},
		"no certificate": {registry.Options{CAs: []string{empty}}, "CA certificates for registries: " + empty + ": expected at least one certificate in PEM form"},
		"URL":            {registry.Options{PlainHTTP: []string{"http://h"}}, `plain-HTTP registry "http://h": expected HOST or HOST:PORT`},
		"repository":     {registry.Options{PlainHTTP: []string{"h/a"}}, "expected HOST or HOST:PORT"},
		"no host":        {registry.Options{PlainHTTP: []string{""}}, "expected HOST or HOST:PORT"},
	} {
		t.Run(title, func(t *testing.T) {
			if _, err := registry.New(c.opts); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error: %v, expected %q", err, c.want)
			}
		})
	}
}
