package buildkittest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// An Authority signs certificates of daemons and of clients.
type Authority struct {
	// Certificate is its own, as PEM.
	Certificate []byte

	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes an authority that nobody else knows.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{}
	a.cert = &x509.Certificate{
		Subject: pkix.Name{CommonName: "strake test authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotAfter: time.Now().Add(24 * time.Hour),
	}
	a.Certificate, _, a.key = a.sign(t, a.cert)
	return a
}

// Client returns the certificate of a client, and its key, as PEM. It ends, or has ended, at that time.
func (a *Authority) Client(t testing.TB, until time.Time) (cert, key []byte) {
	t.Helper()
	cert, key, _ = a.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "client"}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, NotAfter: until,
	})
	return cert, key
}

// serverTLS is what a daemon needs to be recognised, and to recognise its clients.
type serverTLS struct{ ca, cert, key []byte }

func (a *Authority) server(t testing.TB, until time.Time) *serverTLS {
	t.Helper()
	cert, key, _ := a.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "buildkitd"}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotAfter: until,
		DNSNames: []string{"buildkitd.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	})
	return &serverTLS{ca: a.Certificate, cert: cert, key: key}
}

// write writes the files, and returns the daemon's configuration that names them.
func (s *serverTLS) write(t testing.TB, dir string) string {
	t.Helper()
	for name, data := range map[string][]byte{"ca.pem": s.ca, "cert.pem": s.cert, "key.pem": s.key} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("  [grpc.tls]\n    ca = %q\n    cert = %q\n    key = %q\n",
		filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
}

// sign makes a certificate with a new key; the authority's own signs itself.
func (a *Authority) sign(t testing.TB, template *x509.Certificate) (cert, key []byte, private *ecdsa.PrivateKey) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore = time.Now().Add(-48 * time.Hour)
	signer := a.key
	if signer == nil {
		signer = private
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, bytes []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes})
	}
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", pkcs8), private
}
