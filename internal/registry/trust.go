package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// The bounds of connecting to a registry, and of keeping connections to it for later.
const (
	connectTimeout = 10 * time.Second
	idleTimeout    = 90 * time.Second
	keepAlive      = 30 * time.Second
)

// newTransport returns a transport that trusts what the system does and cas, if there are any.
func newTransport(cas *x509.CertPool) *http.Transport {
	return &http.Transport{
		Proxy:       http.ProxyFromEnvironment,
		DialContext: (&net.Dialer{Timeout: connectTimeout, KeepAlive: keepAlive}).DialContext,
		TLSClientConfig: &tls.Config{
			RootCAs: cas, MinVersion: tls.VersionTLS12,
			// After the first connection to a registry, the others cost it and us little.
			ClientSessionCache: tls.NewLRUClientSessionCache(0),
		},
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   perHost,
		IdleConnTimeout:       idleTimeout,
		TLSHandshakeTimeout:   connectTimeout,
		ExpectContinueTimeout: time.Second,
		// Otherwise a connection that is gone would be noticed only by each request's own limit.
		HTTP2: &http.HTTP2Config{SendPingTimeout: connectTimeout, PingTimeout: connectTimeout},
	}
}

// readCAs adds the certificates of PEM files to the system's; without files it returns nil.
func readCAs(files []string) (*x509.CertPool, error) {
	if len(files) == 0 {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("the system's CA certificates: %w", err)
	}
	for _, file := range files {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("CA certificates for registries: %w", err)
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("CA certificates for registries: %s: expected at least one certificate in PEM form", file)
		}
	}
	return pool, nil
}

// plainHosts reads the hosts that are spoken to over plain HTTP.
func plainHosts(hosts []string) (map[string]bool, error) {
	plain := map[string]bool{}
	for _, host := range hosts {
		if u, err := url.Parse("//" + host); err != nil || u.Host != host || host == "" {
			return nil, fmt.Errorf("plain-HTTP registry %q: expected HOST or HOST:PORT, such as registry.example.com:5000", host)
		}
		plain[canonicalHost(host)] = true
	}
	return plain, nil
}

// A trusting transport notes which hosts only the given CAs vouch for.
type trusting struct {
	next http.RoundTripper
	// system is the pool without the given CAs.
	system *x509.CertPool

	mu      sync.Mutex
	private map[string]bool
}

// RoundTrip looks at the certificate that an answer came with.
func (t *trusting) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err == nil && resp.TLS != nil {
		t.look(req.URL, resp.TLS)
	}
	return resp, err
}

func (t *trusting) look(u *url.URL, state *tls.ConnectionState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.private[u.Host]; known || len(state.PeerCertificates) == 0 {
		return
	}
	others := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		others.AddCert(c)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: u.Hostname(), Roots: t.system, Intermediates: others})
	t.private[u.Host] = err != nil
}

func (t *trusting) isPrivate(host string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.private[host]
}

// PrivateCA tells whether a registry speaks HTTPS with a certificate that only [Options.CAs] vouch
// for, so that others, such as a BuildKit daemon, can't be expected to talk to it. It asks the registry
// unless the client has done so before.
func (c *Client) PrivateCA(ctx context.Context, reg name.Registry) (bool, error) {
	if c.shared.trust == nil || c.shared.plain[reg.RegistryStr()] {
		return false, nil
	}
	if _, err := transport.Ping(ctx, reg, transport.NewUserAgent(c.shared.transport, c.opts.UserAgent)); err != nil {
		return false, err
	}
	return c.shared.trust.isPrivate(reg.RegistryStr()), nil
}

// Repository reads the name of a repository, such as a destination of a build. Its scheme heeds
// [Options.PlainHTTP]; the client itself does so whatever the scheme of a name is.
func (c *Client) Repository(text string) (name.Repository, error) {
	repo, err := name.NewRepository(text, name.WeakValidation)
	if err != nil || !c.shared.plain[repo.RegistryStr()] {
		return repo, err
	}
	return name.NewRepository(text, name.WeakValidation, name.Insecure)
}
