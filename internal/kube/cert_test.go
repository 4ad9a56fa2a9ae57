package kube

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	encoding "encoding/pem"
	"math/big"
	"net/http/httptest"
	"testing"
	"time"
)

// pem is the certificate of a test server.
func pem(s *httptest.Server) []byte {
	return encoding.EncodeToMemory(&encoding.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// otherCA is an authority that has signed nothing.
func otherCA(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return encoding.EncodeToMemory(&encoding.Block{Type: "CERTIFICATE", Bytes: der})
}
