package signing

import (
	"bytes"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature/dsse"

	"strake.dev/strake/stages"
)

const payloadType = "application/vnd.test+json"

func write(t *testing.T, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func password(value string) func() ([]byte, bool) {
	return func() ([]byte, bool) { return []byte(value), true }
}

func noPassword() ([]byte, bool) { return nil, false }

// pair makes a key as cosign does; without a password it isn't encrypted.
func pair(t *testing.T, password []byte) (private, public string) {
	t.Helper()
	var pass cryptoutils.PassFunc
	if password != nil {
		pass = cryptoutils.StaticPasswordFunc(password)
	}
	priv, pub, err := cryptoutils.GeneratePEMEncodedECDSAKeyPair(elliptic.P256(), pass)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, priv), write(t, pub)
}

func load(t *testing.T, private, public string, password func() ([]byte, bool)) (*Signer, *Verifier) {
	t.Helper()
	s, err := LoadSigner(private, password)
	if err != nil {
		t.Fatal(err)
	}
	v, err := LoadVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	return s, v
}

func TestKeys(t *testing.T) {
	plain, plainPub := pair(t, nil)
	sealed, sealedPub := pair(t, []byte("sesame"))
	empty, emptyPub := pair(t, []byte{})
	edPublic, edPrivate, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edPEM, err := cryptoutils.MarshalPrivateKeyToPEM(edPrivate)
	if err != nil {
		t.Fatal(err)
	}
	edPubPEM, err := cryptoutils.MarshalPublicKeyToPEM(edPublic)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		private, public string
		password        func() ([]byte, bool)
	}{
		"plain": {plain, plainPub, noPassword}, "encrypted": {sealed, sealedPub, password("sesame")},
		"empty password": {empty, emptyPub, password("")}, "Ed25519": {write(t, edPEM), write(t, edPubPEM), noPassword},
	} {
		t.Run(name, func(t *testing.T) {
			s, v := load(t, c.private, c.public, c.password)
			sig, err := s.Sign([]byte("text"))
			if err != nil {
				t.Fatal(err)
			}
			if err := v.Verify("it", []byte("text"), []byte("other"), sig); err != nil {
				t.Error(err)
			}
			var wrong *VerifyError
			if err := v.Verify("it", []byte("test"), sig); !errors.As(err, &wrong) {
				t.Errorf("another text: %v", err)
			}
			if err := v.Verify("it", []byte("text")); !errors.As(err, &wrong) {
				t.Errorf("no signature: %v", err)
			}
		})
	}
}

func TestBadKeys(t *testing.T) {
	plain, public := pair(t, nil)
	sealed, _ := pair(t, []byte("sesame"))
	text, err := os.ReadFile(plain)
	if err != nil {
		t.Fatal(err)
	}
	signer := func(path string, password func() ([]byte, bool)) func() error {
		return func() error { _, err := LoadSigner(path, password); return err }
	}
	verifier := func(path string) func() error {
		return func() error { _, err := LoadVerifier(path); return err }
	}
	for name, c := range map[string]struct {
		load       func() error
		want, hint string
	}{
		"no file":           {signer("none.key", noPassword), "none.key", ""},
		"no password":       {signer(sealed, noPassword), "is encrypted", "COSIGN_PASSWORD"},
		"wrong password":    {signer(sealed, password("open")), "can't be decrypted", "is the password"},
		"public to sign":    {signer(public, noPassword), "expected a private key", "cosign.key"},
		"private to verify": {verifier(plain), "expected a public key", "cosign.pub"},
		"text":              {verifier(write(t, []byte("hello"))), "expected one key in PEM", ""},
		"two keys":          {signer(write(t, append(bytes.Clone(text), text...)), noPassword), "expected one key", ""},
		"broken":            {signer(write(t, []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")), noPassword), "key ", ""},
		"certificate":       {verifier(write(t, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))), "key ", ""},
		"large":             {verifier(write(t, bytes.Repeat([]byte("x"), maxKey+1))), "found 65537 bytes", ""},
		"none to verify":    {verifier("none.pub"), "none.pub", ""},
	} {
		err := c.load()
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(stages.Hint(err), c.hint) {
			t.Errorf("%s: expected %q with hint %q, found %v, %q", name, c.want, c.hint, err, stages.Hint(err))
		}
		if err != nil && strings.Contains(err.Error()+stages.Hint(err), "sesame") {
			t.Errorf("%s: the password shows: %v", name, err)
		}
	}
}

func TestPassword(t *testing.T) {
	env := map[string]string{}
	look := Password(func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	if _, ok := look(); ok {
		t.Error("a password from nowhere")
	}
	env["COSIGN_PASSWORD"] = ""
	if p, ok := look(); !ok || len(p) > 0 {
		t.Errorf("expected an empty password, found %q", p)
	}
	env["STRAKE_KEY_PASSWORD"] = "x"
	if p, _ := look(); string(p) != "x" {
		t.Errorf("found %q", p)
	}
}

func TestEnvelope(t *testing.T) {
	private, public := pair(t, nil)
	s, v := load(t, private, public, noPassword)
	_, otherPublic := pair(t, nil)
	other, err := LoadVerifier(otherPublic)
	if err != nil {
		t.Fatal(err)
	}
	payload := []byte(`{"a": 1}`)
	sealed, err := s.Seal(payloadType, payload)
	if err != nil {
		t.Fatal(err)
	}
	for _, verifier := range []*Verifier{nil, v} {
		if got, signed, err := Open("it", payloadType, sealed, verifier); err != nil || !signed || !bytes.Equal(got, payload) {
			t.Errorf("opened %q, %t, %v", got, signed, err)
		}
	}
	if got, signed, err := Open("it", payloadType, payload, nil); err != nil || signed || !bytes.Equal(got, payload) {
		t.Errorf("opened %q, %t, %v", got, signed, err)
	}
	changed := bytes.Replace(sealed, []byte(base64.StdEncoding.EncodeToString(payload)), []byte(base64.StdEncoding.EncodeToString([]byte(`{"a": 2}`))), 1)
	for name, c := range map[string]struct {
		data     []byte
		verifier *Verifier
	}{
		"other key": {sealed, other}, "changed": {changed, v}, "unsigned": {payload, v}, "not JSON": {[]byte("a: 1"), v},
		"no signatures": {[]byte(`{"payloadType":"` + payloadType + `","payload":"e30=","signatures":[]}`), v},
	} {
		var wrong *VerifyError
		if got, _, err := Open("it", payloadType, c.data, c.verifier); !errors.As(err, &wrong) || got != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for _, verifier := range []*Verifier{nil, v} {
		if _, _, err := Open("it", "application/other", sealed, verifier); err == nil {
			t.Error("an envelope of another type was opened")
		}
	}
}

// Sigstore's own implementation takes our envelopes, and we take its.
func TestSameAsSigstore(t *testing.T) {
	private, public := pair(t, nil)
	s, v := load(t, private, public, noPassword)
	sealed, err := s.Seal(payloadType, []byte("text"))
	if err != nil {
		t.Fatal(err)
	}
	if err := dsse.WrapVerifier(v.verifier).VerifySignature(bytes.NewReader(sealed), nil); err != nil {
		t.Errorf("sigstore doesn't take it: %v", err)
	}
	theirs, err := dsse.WrapSigner(s.signer, payloadType).SignMessage(strings.NewReader("text"))
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err := Open("it", payloadType, theirs, v); err != nil || string(got) != "text" {
		t.Errorf("opened %q, %v", got, err)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte(`{"payloadType":"` + payloadType + `","payload":"e30=","signatures":[{"keyid":"","sig":"AAAA"}]}`))
	private, public, err := cryptoutils.GeneratePEMEncodedECDSAKeyPair(elliptic.P256(), nil)
	if err != nil {
		f.Fatal(err)
	}
	path := filepath.Join(f.TempDir(), "key")
	if err := os.WriteFile(path, public, 0o600); err != nil {
		f.Fatal(err)
	}
	f.Add(private)
	v, err := LoadVerifier(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if payload, _, err := Open("it", payloadType, data, v); err == nil {
			t.Errorf("opened %q", payload)
		}
	})
}
