package buildkit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strake.dev/strake/internal/buildkit/buildkittest"
	"strake.dev/strake/stages"
)

func TestBadTLS(t *testing.T) {
	authority := buildkittest.NewAuthority(t)
	cert, key := authority.Client(t, time.Now().Add(time.Hour))
	_, otherKey := authority.Client(t, time.Now().Add(time.Hour))
	oldCert, oldKey := authority.Client(t, time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC))
	text := []byte("sesame-open-4711")
	for name, c := range map[string]struct {
		files      map[string][]byte
		want, hint string
	}{
		"nothing":         {nil, " has no ca.pem", "expected ca.pem, cert.pem and key.pem"},
		"no key":          {map[string][]byte{"ca.pem": authority.Certificate, "cert.pem": cert}, " has no key.pem", "expected ca.pem, cert.pem and key.pem"},
		"no certificate":  {map[string][]byte{"ca.crt": authority.Certificate, "tls.key": key}, " has no cert.pem", ""},
		"bad authority":   {map[string][]byte{"ca.pem": text, "cert.pem": cert, "key.pem": key}, ": ca.pem holds no certificate in PEM form", ""},
		"bad certificate": {map[string][]byte{"ca.pem": authority.Certificate, "tls.crt": text, "tls.key": key}, ": tls.crt is not in PEM form", ""},
		"bad key":         {map[string][]byte{"ca.pem": authority.Certificate, "cert.pem": cert, "key.pem": text}, ": key.pem is not in PEM form", ""},
		"another key":     {map[string][]byte{"cert.pem": cert, "key.pem": otherKey}, ": cert.pem and key.pem are not a certificate and its key: private key does not match public key", ""},
		"exchanged":       {map[string][]byte{"cert.pem": key, "key.pem": cert}, ": cert.pem and key.pem are not a certificate and its key: ", ""},
		"expired":         {map[string][]byte{"ca.pem": authority.Certificate, "cert.pem": oldCert, "key.pem": oldKey}, ": the certificate cert.pem has expired on 2020-01-02T03:04:05Z", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, data := range c.files {
				must(t, os.WriteFile(filepath.Join(dir, file), data, 0o600))
			}
			err := New(ClientOptions{TLSDir: dir}).Check()
			if err == nil || !strings.Contains(err.Error(), "TLS folder "+dir+c.want) || !strings.Contains(stages.Hint(err), c.hint) {
				t.Errorf("error: %v (hint: %s)", err, stages.Hint(err))
			}
			if err != nil && strings.Contains(err.Error(), string(text)) {
				t.Errorf("the error shows what a file holds: %v", err)
			}
		})
	}
	if err := New(ClientOptions{TLSDir: "/nowhere/at/all"}).Check(); err == nil || !strings.Contains(err.Error(), "no such folder") || !strings.Contains(stages.Hint(err), "--buildkit-tls-dir") {
		t.Errorf("no folder: %v", err)
	}
	if _, err := SecretTLS("x", map[string][]byte{"cert.pem": cert}, ""); err == nil || err.Error() != "Secret x has no ca.crt" || stages.Hint(err) != "expected ca.crt, tls.crt and tls.key" {
		t.Errorf("Secret: %v (hint: %s)", err, stages.Hint(err))
	}
}
