package pki

import (
	"crypto/x509"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
)

func TestIssueKeepsWhatIsRight(t *testing.T) {
	dir := t.TempDir()
	read := func() string {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(dir, "server.crt"))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	issue := func(subject Subject) string {
		t.Helper()
		// Reading the authority again must not make another one.
		a, err := OpenAuthority(dir, "ca")
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Issue("server", subject); err != nil {
			t.Fatal(err)
		}
		return read()
	}
	subject := Subject{Name: "s", Organizations: []string{"o"}, Names: []string{"localhost"}, Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}
	first := issue(subject)
	if issue(subject) != first {
		t.Error("the same subject got another certificate")
	}
	subject.Addresses = []netip.Addr{netip.MustParseAddr("127.0.0.2")}
	if issue(subject) == first {
		t.Error("another address got the same certificate")
	}
}

func TestCertificateIsValid(t *testing.T) {
	dir := t.TempDir()
	a, err := OpenAuthority(dir, "ca")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Issue("server", Subject{Name: "s", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.1")}}); err != nil {
		t.Fatal(err)
	}
	cert, _, err := readPair(dir, "server")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: "10.0.0.1"}); err != nil {
		t.Error(err)
	}
	info, err := os.Stat(filepath.Join(dir, "server.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key has mode %v, %v", info.Mode(), err)
	}
}

// A crash between the two files of a pair must not stay for ever.
func TestTornPairIsMadeAgain(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenAuthority(dir, "ca"); err != nil {
		t.Fatal(err)
	}
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := writeKey(dir, "ca", key); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenAuthority(dir, "ca"); err != nil {
		t.Error(err)
	}
}
