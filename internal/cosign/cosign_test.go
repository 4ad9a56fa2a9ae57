package cosign_test

import (
	"bytes"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	inprocess "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"strake.dev/strake/internal/cosign"
	"strake.dev/strake/internal/referrer"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/internal/signing"
)

// A place is a registry in this process, or one given by STRAKE_SANDBOX_REGISTRY.
type place struct {
	host   string
	client *registry.Client
	// tamper, if not nil, changes what is answered to GET.
	tamper func(path string, body []byte) []byte
}

func newPlace(t testing.TB, referrers bool) *place {
	t.Helper()
	p := &place{}
	inner := inprocess.New(inprocess.Logger(log.New(io.Discard, "", 0)), inprocess.WithReferrersSupport(referrers))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.tamper == nil || r.Method != http.MethodGet {
			inner.ServeHTTP(w, r)
			return
		}
		got := httptest.NewRecorder()
		inner.ServeHTTP(got, r)
		body := p.tamper(r.URL.Path, got.Body.Bytes())
		maps.Copy(w.Header(), got.Header())
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.WriteHeader(got.Code)
		_, _ = w.Write(body)
	}))
	t.Cleanup(server.Close)
	p.host = strings.TrimPrefix(server.URL, "http://")
	p.connect(t)
	return p
}

func (p *place) connect(t testing.TB) {
	t.Helper()
	var err error
	if p.client, err = registry.New(registry.Options{FirstWait: 1}); err != nil {
		t.Fatal(err)
	}
}

// places are registries of all kinds.
func places(t *testing.T) map[string]*place {
	all := map[string]*place{"referrers": newPlace(t, true), "fallback tag": newPlace(t, false)}
	if host := os.Getenv("STRAKE_SANDBOX_REGISTRY"); host != "" {
		p := &place{host: host}
		p.connect(t)
		all["sandbox"] = p
	}
	return all
}

// push pushes an image of one layer, and returns its digest.
func (p *place) push(t testing.TB, repo, content string) name.Digest {
	t.Helper()
	image, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), static.NewLayer([]byte(content), types.OCILayer))
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.NewDigest(p.host + "/" + repo + "@" + digest.String())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.client.Push(t.Context(), ref, image); err != nil {
		t.Fatal(err)
	}
	return ref
}

// A pair is a private and a public key.
type pair struct {
	signer   *signing.Signer
	verifier *signing.Verifier
	private  string
	public   string
}

func newPair(t testing.TB) pair {
	t.Helper()
	// Encrypting it would take a second.
	private, public, err := cryptoutils.GeneratePEMEncodedECDSAKeyPair(elliptic.P256(), nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := pair{private: filepath.Join(dir, "key"), public: filepath.Join(dir, "key.pub")}
	if err := errors.Join(os.WriteFile(p.private, private, 0o600), os.WriteFile(p.public, public, 0o600)); err != nil {
		t.Fatal(err)
	}
	if p.signer, err = signing.LoadSigner(p.private, func() ([]byte, bool) { return nil, false }); err != nil {
		t.Fatal(err)
	}
	if p.verifier, err = signing.LoadVerifier(p.public); err != nil {
		t.Fatal(err)
	}
	return p
}

func sign(t testing.TB, p *place, digest name.Digest, k pair, form cosign.Form) bool {
	t.Helper()
	written, err := cosign.Sign(t.Context(), p.client, digest, k.signer, cosign.Options{Form: form})
	if err != nil {
		t.Fatal(err)
	}
	return written
}

// refusal checks that something isn't verified, and why.
func refusal(t testing.TB, p *place, digest name.Digest, r cosign.Requirement, unsigned bool, want string) {
	t.Helper()
	v, err := cosign.Verify(t.Context(), p.client, digest, r)
	var wrong *signing.VerifyError
	if v != nil || !errors.As(err, &wrong) || wrong.Unsigned != unsigned || !strings.Contains(err.Error(), want) {
		t.Errorf("expected a refusal (unsigned: %t) with %q, found %+v, %v", unsigned, want, v, err)
	}
}

func by(keys ...pair) cosign.Requirement {
	var r cosign.Requirement
	for _, k := range keys {
		r.Keys = append(r.Keys, k.verifier)
	}
	return r
}

func TestRoundTrip(t *testing.T) {
	a, b := newPair(t), newPair(t)
	for kind, p := range places(t) {
		for _, form := range []cosign.Form{cosign.Signature, cosign.Bundle, cosign.Both} {
			t.Run(kind+"/"+string(form), func(t *testing.T) {
				repo := fmt.Sprintf("cosign-test/%x", time.Now().UnixNano())
				digest := p.push(t, repo, "one")
				refusal(t, p, digest, by(a), true, "it isn't signed")
				if !sign(t, p, digest, a, form) {
					t.Error("nothing was written")
				}
				if sign(t, p, digest, a, form) {
					t.Error("signed twice by the same key")
				}
				v, err := cosign.Verify(t.Context(), p.client, digest, by(b, a))
				if err != nil || len(v.Signers) != 1 || v.Signers[0].Name != a.public {
					t.Fatalf("verified %+v, %v", v, err)
				}
				refusal(t, p, digest, by(b), false, "none of its signatures is by "+b.public)
				refusal(t, p, digest, cosign.Requirement{Keys: by(a, b).Keys, AtLeast: 2}, false, "it is signed by "+a.public)
				// The same key twice is one signer.
				refusal(t, p, digest, cosign.Requirement{Keys: by(a, a).Keys, AtLeast: 2}, false, "it is signed by")

				sign(t, p, digest, b, form)
				for _, r := range []cosign.Requirement{by(a), by(b), {Keys: by(a, b).Keys, AtLeast: 2}} {
					if _, err := cosign.Verify(t.Context(), p.client, digest, r); err != nil {
						t.Errorf("after a second signature: %v", err)
					}
				}
				refusal(t, p, p.push(t, repo, "two"), by(a), true, "it isn't signed")
			})
		}
	}
}

// A signature of one digest, moved to another, is wrong.
func TestMovedSignature(t *testing.T) {
	a := newPair(t)
	p := newPlace(t, false)
	one, two := p.push(t, "moved", "one"), p.push(t, "moved", "two")
	sign(t, p, one, a, cosign.Both)
	for _, suffix := range []string{".sig", ""} {
		tag := func(d name.Digest) name.Tag {
			return d.Context().Tag(strings.Replace(d.DigestStr(), ":", "-", 1) + suffix)
		}
		desc, err := p.client.Get(t.Context(), tag(one))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.client.Push(t.Context(), tag(two), desc); err != nil {
			t.Fatal(err)
		}
	}
	refusal(t, p, two, by(a), false, "it is for "+one.DigestStr())
}

// Provenance, even by the right key, is no signature.
func TestOtherStatements(t *testing.T) {
	a := newPair(t)
	p := newPlace(t, true)
	digest := p.push(t, "statements", "one")
	statement, err := cosign.NewStatement(digest, "https://slsa.dev/provenance/v1", map[string]string{"a": "b"})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, false} {
		written, err := cosign.Attach(t.Context(), p.client, digest, statement, "https://slsa.dev/provenance/v1", a.signer)
		if err != nil || written != want {
			t.Errorf("%d: attached %t, %v", i, written, err)
		}
	}
	// cosign attest writes the older type of statements.
	old := bytes.Replace(statement, []byte("Statement/v1"), []byte("Statement/v0.1"), 1)
	if _, err := cosign.Attach(t.Context(), p.client, digest, old, "https://slsa.dev/provenance/v1", newPair(t).signer); err != nil {
		t.Fatal(err)
	}
	refusal(t, p, digest, by(a), true, "it isn't signed")
}

// The forms are those that cosign 3.1.3 writes.
func TestForms(t *testing.T) {
	a := newPair(t)
	p := newPlace(t, true)
	digest := p.push(t, "forms", "one")
	sign(t, p, digest, a, cosign.Both)

	tag, err := p.client.Get(t.Context(), digest.Context().Tag("sha256-"+strings.TrimPrefix(digest.DigestStr(), "sha256:")+".sig"))
	if err != nil {
		t.Fatal(err)
	}
	var m v1.Manifest
	if err := json.Unmarshal(tag.Manifest, &m); err != nil {
		t.Fatal(err)
	}
	if tag.MediaType != types.OCIManifestSchema1 || m.Config.MediaType != types.OCIConfigJSON || len(m.Layers) != 1 || m.Layers[0].MediaType != "application/vnd.dev.cosign.simplesigning.v1+json" {
		t.Errorf("manifest %s", tag.Manifest)
	}
	text, err := p.client.Blob(t.Context(), digest.Context().Digest(m.Layers[0].Digest.String()), 1000)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`{"critical":{"identity":{"docker-reference":"%s/forms"},"image":{"docker-manifest-digest":"%s"},"type":"cosign container image signature"},"optional":null}`, p.host, digest.DigestStr())
	if string(text) != want {
		t.Errorf("payload %s, want %s", text, want)
	}
	sig, err := base64.StdEncoding.DecodeString(m.Layers[0].Annotations["dev.cosignproject.cosign/signature"])
	if err != nil || !a.verifier.Signed(text, sig) {
		t.Errorf("annotations %v, %v", m.Layers[0].Annotations, err)
	}

	found, err := referrer.List(t.Context(), p.client, digest, referrer.Types("application/vnd.dev.sigstore.bundle.v0.3+json"))
	if err != nil || len(found) != 1 {
		t.Fatalf("bundles %+v, %v", found, err)
	}
	if got := found[0].Annotations; got["dev.sigstore.bundle.content"] != "dsse-envelope" || got["dev.sigstore.bundle.predicateType"] != "https://sigstore.dev/cosign/sign/v1" {
		t.Errorf("annotations %v", got)
	}
	var b struct {
		MediaType            string
		VerificationMaterial struct{ PublicKey struct{ Hint string } }
		DsseEnvelope         struct {
			Payload     []byte
			PayloadType string
			Signatures  []struct{ Sig []byte }
		}
	}
	if err := json.Unmarshal(found[0].Content, &b); err != nil {
		t.Fatal(err)
	}
	if b.VerificationMaterial.PublicKey.Hint != a.verifier.Hint() || b.DsseEnvelope.PayloadType != "application/vnd.in-toto+json" || len(b.DsseEnvelope.Signatures) != 1 {
		t.Errorf("bundle %s", found[0].Content)
	}
	want = fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"%s"}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}`, strings.TrimPrefix(digest.DigestStr(), "sha256:"))
	if string(b.DsseEnvelope.Payload) != want {
		t.Errorf("statement %s, want %s", b.DsseEnvelope.Payload, want)
	}
}

// A bundle as cosign 3.1.3 has written it, with its spaces and annotations.
func TestCosignsBundle(t *testing.T) {
	text, err := os.ReadFile("testdata/cosign-3.1.3.bundle.json")
	if err != nil {
		t.Fatal(err)
	}
	key, err := signing.LoadVerifier("testdata/cosign.pub")
	if err != nil {
		t.Fatal(err)
	}
	const hex = "15005bb65721955fe7bf496f1181901acabf13dd86009af49100929954f97699"
	digest, err := name.NewDigest("example.com/probe@sha256:" + hex)
	if err != nil {
		t.Fatal(err)
	}
	s, by, err := cosign.Open(text, digest, []*signing.Verifier{newPair(t).verifier, key})
	if err != nil || by != key || s.PredicateType != cosign.SignPredicate {
		t.Errorf("opened %+v by %v, %v", s, by, err)
	}
	other, err := name.NewDigest("example.com/probe@sha256:" + strings.Repeat("0", 64))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := cosign.Open(text, other, []*signing.Verifier{key}); err == nil {
		t.Error("a bundle for another digest was taken")
	}
}

func FuzzOpen(f *testing.F) {
	text, err := os.ReadFile("testdata/cosign-3.1.3.bundle.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{}},"dsseEnvelope":{}}`))
	k := newPair(f)
	digest, err := name.NewDigest("example.com/probe@sha256:" + strings.Repeat("0", 64))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, _, err := cosign.Open(data, digest, []*signing.Verifier{k.verifier}); err == nil {
			t.Errorf("opened %+v", s)
		}
		_, _ = cosign.Peek(data, digest)
	})
}
