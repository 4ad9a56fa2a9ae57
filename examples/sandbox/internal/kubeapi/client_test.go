package kubeapi

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strake.dev/strake/examples/sandbox/internal/pki"
)

// serve runs a server that wants a client certificate, and returns a client for it.
func serve(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	authority, err := pki.OpenAuthority(dir, "ca")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		authority.Issue("server", pki.Subject{Name: "s", Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}),
		authority.Issue("user", pki.Subject{Name: "u"}),
	); err != nil {
		t.Fatal(err)
	}
	cert, err := tls.LoadX509KeyPair(file("server.crt"), file("server.key"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(file("ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	client, err := New(server.URL, file("ca.crt"), file("user.crt"), file("user.key"))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestClient(t *testing.T) {
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch user := r.TLS.PeerCertificates[0].Subject.CommonName; {
		case user != "u":
			t.Errorf("user %q", user)
		case r.Method == http.MethodPost:
			w.WriteHeader(http.StatusConflict)
		case r.URL.Path == "/there":
			_, _ = w.Write([]byte(`{"kind":"Thing"}`))
		case r.URL.Path == "/broken":
			http.Error(w, "reason", http.StatusInternalServerError)
		default:
			http.NotFound(w, r)
		}
	})
	var object struct{ Kind string }
	if err := client.Get(t.Context(), "/there", &object); err != nil || object.Kind != "Thing" {
		t.Errorf("Get: %v, %+v", err, object)
	}
	if err := client.Get(t.Context(), "/missing", &object); !errors.Is(err, ErrNotFound) {
		t.Errorf("Get of nothing: %v", err)
	}
	if err := client.Get(t.Context(), "/broken", &object); err == nil || !strings.Contains(err.Error(), "reason") {
		t.Errorf("Get of broken: %v", err)
	}
	if err := client.Create(t.Context(), "/there", object); err != nil {
		t.Errorf("Create of what exists: %v", err)
	}
}
