package buildkit

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"strake.dev/strake/stages"
)

// TLS is how to recognise a daemon, and how to be recognised by it. It is never written to disk.
type TLS struct {
	config *tls.Config
	// origin names where it is from, and authority and certificate its parts there, for messages.
	origin, authority, certificate string
}

// tlsNames are what the parts of a [TLS] may be called, the preferred name first. They are buildctl's
// and those of Secrets of the type kubernetes.io/tls.
var tlsNames = struct{ ca, cert, key []string }{
	[]string{"ca.pem", "ca.crt"}, []string{"cert.pem", "tls.crt"}, []string{"key.pem", "tls.key"},
}

// readTLSDir reads a folder as “buildctl --tlsdir” has it; an empty name gives nil.
func readTLSDir(dir string) (*TLS, error) {
	if dir == "" {
		return nil, nil
	}
	origin := "TLS folder " + dir
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, stages.WithHint(fmt.Errorf("%s: no such folder", origin), "check --buildkit-tls-dir")
	}
	read := func(names []string) (string, []byte, error) {
		for _, name := range names {
			data, err := os.ReadFile(filepath.Join(dir, name))
			if !errors.Is(err, fs.ErrNotExist) {
				return name, data, err
			}
		}
		return names[0], nil, nil
	}
	return parseTLS(origin, read)
}

// SecretTLS reads the data of a Secret, with keys as those of the type kubernetes.io/tls: ca.crt,
// tls.crt and tls.key. serverName is the name that the daemon's certificate has to have; empty is the
// host of the daemon's address.
func SecretTLS(name string, data map[string][]byte, serverName string) (*TLS, error) {
	read := func(keys []string) (string, []byte, error) {
		// The name in Kubernetes' own Secrets is the second.
		return keys[1], data[keys[1]], nil
	}
	t, err := parseTLS("Secret "+name, read)
	if err != nil {
		return nil, err
	}
	t.config.ServerName = serverName
	return t, nil
}

// parseTLS makes a [TLS] of its parts. The authority may be missing, which means those of the system,
// and so may certificate and key, for a daemon that lets everybody in.
func parseTLS(origin string, read func(names []string) (name string, data []byte, err error)) (*TLS, error) {
	caName, ca, err1 := read(tlsNames.ca)
	certName, cert, err2 := read(tlsNames.cert)
	keyName, key, err3 := read(tlsNames.key)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, fmt.Errorf("%s: %w", origin, err)
	}
	t := &TLS{config: &tls.Config{MinVersion: tls.VersionTLS12}, origin: origin}
	missing := func(name string) error {
		return stages.WithHint(fmt.Errorf("%s has no %s", origin, name), "expected %s, %s and %s", caName, certName, keyName)
	}
	switch {
	case len(ca)+len(cert)+len(key) == 0:
		return nil, missing(caName)
	case len(cert) == 0 && len(key) > 0:
		return nil, missing(certName)
	case len(cert) > 0 && len(key) == 0:
		return nil, missing(keyName)
	}
	if len(ca) > 0 {
		t.authority = caName
		t.config.RootCAs = x509.NewCertPool()
		if !t.config.RootCAs.AppendCertsFromPEM(ca) {
			return nil, fmt.Errorf("%s: %s holds no certificate in PEM form", origin, caName)
		}
	}
	if len(cert) > 0 {
		t.certificate = certName
		if err := t.pair(cert, key, certName, keyName); err != nil {
			return nil, fmt.Errorf("%s: %w", origin, err)
		}
	}
	return t, nil
}

// pair adds the client's certificate. No error shows any of the key.
func (t *TLS) pair(cert, key []byte, certName, keyName string) error {
	for name, data := range map[string][]byte{certName: cert, keyName: key} {
		if block, _ := pem.Decode(data); block == nil {
			return fmt.Errorf("%s is not in PEM form", name)
		}
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("%s and %s are not a certificate and its key: %s", certName, keyName, strings.TrimPrefix(err.Error(), "tls: "))
	}
	if until := pair.Leaf.NotAfter; time.Now().After(until) {
		return fmt.Errorf("the certificate %s has expired on %s", certName, until.UTC().Format(time.RFC3339))
	}
	t.config.Certificates = []tls.Certificate{pair}
	return nil
}

// explain says in words of a user why daemon and client don't trust each other; nil if that is not
// what err is about.
func (t *TLS) explain(err error) error {
	var (
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		plain     tls.RecordHeaderError
	)
	text := err.Error()
	switch {
	case errors.As(err, &authority):
		trusted := t.authority + " of " + t.origin
		if t.authority == "" {
			trusted = "an authority that this machine trusts"
		}
		return stages.WithHint(fmt.Errorf("its certificate is not signed by %s", trusted), "is the right authority in %s?", t.origin)
	case errors.As(err, &hostname):
		return stages.WithHint(fmt.Errorf("its certificate is for another name: %w", hostname), "set “tls: {serverName: …}” to one that it is for")
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("its certificate has expired, or is not valid yet: valid from %s to %s",
			invalid.Cert.NotBefore.UTC().Format(time.RFC3339), invalid.Cert.NotAfter.UTC().Format(time.RFC3339))
	case errors.As(err, &invalid):
		return fmt.Errorf("its certificate is not valid: %w", invalid)
	case errors.As(err, &plain):
		return errors.New("it doesn't speak TLS")
	case strings.Contains(text, "remote error: tls: certificate required"), t.certificate == "" && strings.Contains(text, "remote error: tls: "):
		return stages.WithHint(errors.New("it wants a certificate of the client"), "add certificate and key to %s", t.origin)
	case strings.Contains(text, "remote error: tls: "):
		_, alert, _ := strings.Cut(text, "remote error: tls: ")
		return stages.WithHint(fmt.Errorf("it doesn't accept the client's certificate: %s", alert), "is %s of %s signed by the authority that the daemon knows?", t.certificate, t.origin)
	}
	return nil
}
