// Package pki makes the certificate authorities, certificates and keys of an instance. They are made
// once and stay the same as long as what they certify does.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"strake.dev/strake/examples/sandbox/internal/instance"
)

// lifetime outlasts any sandbox, so nothing has to renew certificates.
const lifetime = 10 * 365 * 24 * time.Hour

// An Authority signs certificates. Its files are DIR/NAME.crt and DIR/NAME.key.
type Authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// A Subject is what a certificate says of its holder. With Addresses or Names it is a server's, and
// always a client's.
type Subject struct {
	Name          string // common name: the user, for Kubernetes
	Organizations []string
	Names         []string
	Addresses     []netip.Addr
}

// OpenAuthority reads the authority of that name in dir, or makes it.
func OpenAuthority(dir, name string) (*Authority, error) {
	cert, key, err := readPair(dir, name)
	if err == nil {
		return &Authority{dir, cert, key}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	key, err = newKey()
	if err != nil {
		return nil, err
	}
	der, err := sign(template, template, key, key)
	if err != nil {
		return nil, fmt.Errorf("make authority %s: %w", name, err)
	}
	if err := writePair(dir, name, der, key); err != nil {
		return nil, err
	}
	cert, err = x509.ParseCertificate(der)
	return &Authority{dir, cert, key}, err
}

// Issue makes sure that DIR/NAME.crt and DIR/NAME.key certify the subject.
func (a *Authority) Issue(name string, subject Subject) error {
	if old, _, err := readPair(a.dir, name); err == nil && a.certifies(old, subject) {
		return nil
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: subject.Name, Organization: subject.Organizations},
		DNSNames:    subject.Names,
		IPAddresses: subject.addresses(),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if len(subject.Names)+len(subject.Addresses) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	key, err := newKey()
	if err != nil {
		return err
	}
	der, err := sign(template, a.cert, key, a.key)
	if err != nil {
		return fmt.Errorf("issue certificate %s: %w", name, err)
	}
	return writePair(a.dir, name, der, key)
}

func (a *Authority) certifies(cert *x509.Certificate, subject Subject) bool {
	return cert.CheckSignatureFrom(a.cert) == nil &&
		cert.Subject.CommonName == subject.Name &&
		slices.Equal(cert.Subject.Organization, subject.Organizations) &&
		slices.Equal(cert.DNSNames, subject.Names) &&
		slices.EqualFunc(cert.IPAddresses, subject.addresses(), net.IP.Equal)
}

func (s Subject) addresses() []net.IP {
	var ips []net.IP
	for _, addr := range s.Addresses {
		ips = append(ips, addr.AsSlice())
	}
	return ips
}

// SigningKey makes sure that DIR/NAME.key and DIR/NAME.pub are a pair for signing tokens.
func SigningKey(dir, name string) error {
	if _, err := os.Stat(filepath.Join(dir, name+".pub")); err == nil {
		return nil
	}
	key, err := newKey()
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return fmt.Errorf("encode public key: %w", err)
	}
	// The public half comes last: where it is, the private one is too.
	if err := writeKey(dir, name, key); err != nil {
		return err
	}
	return writePEM(filepath.Join(dir, name+".pub"), "PUBLIC KEY", public)
}

func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return key, nil
}

func sign(template, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	// Clocks of containers may be a little behind.
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().Add(lifetime)
	return x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
}

func readPair(dir, name string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	certPEM, err := readPEM(filepath.Join(dir, name+".crt"))
	if err != nil {
		return nil, nil, err
	}
	keyPEM, err := readPEM(filepath.Join(dir, name+".key"))
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(certPEM)
	if err != nil {
		return nil, nil, fmt.Errorf("read certificate %s: %w", name, err)
	}
	key, err := x509.ParseECPrivateKey(keyPEM)
	if err != nil {
		return nil, nil, fmt.Errorf("read key %s: %w", name, err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		// A crash came between the two files.
		return nil, nil, fmt.Errorf("certificate and key %s don't belong together: %w", name, fs.ErrNotExist)
	}
	return cert, key, nil
}

func writePair(dir, name string, cert []byte, key *ecdsa.PrivateKey) error {
	if err := writeKey(dir, name, key); err != nil {
		return err
	}
	return writePEM(filepath.Join(dir, name+".crt"), "CERTIFICATE", cert)
}

func writeKey(dir, name string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode key %s: %w", name, err)
	}
	return writePEM(filepath.Join(dir, name+".key"), "EC PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	return instance.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

func readPEM(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("read %s: not a PEM file", path)
	}
	return block.Bytes, nil
}
