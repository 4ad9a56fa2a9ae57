package cosign_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"strake.dev/strake/internal/artifact"
	"strake.dev/strake/internal/cosign"
	"strake.dev/strake/internal/referrer"
	"strake.dev/strake/internal/signing"
)

var rounds = flag.Int("rounds", 60, "mutations of each part")

// mutation changes data: one bit, or its structure.
func mutation(r *rand.Rand, data []byte) []byte {
	for {
		if changed := tryMutation(r, data); !bytes.Equal(changed, data) {
			return changed
		}
	}
}

func tryMutation(r *rand.Rand, data []byte) []byte {
	out := bytes.Clone(data)
	if len(out) == 0 {
		return []byte{0}
	}
	i := r.IntN(len(out))
	switch r.IntN(8) {
	case 0: // cut off
		return out[:i]
	case 1: // one byte less
		return append(out[:i], out[i+1:]...)
	case 2: // a piece twice
		return append(out[:i:i], data[i/2:]...)
	default: // one bit
		out[i] ^= 1 << r.IntN(8)
		return out
	}
}

// A tally counts what became of the mutations of one part.
type tally struct{ refused, without int }

// TestMutations changes one part of what is signed, or of the signature, at a time. All must be refused, but those of
// what neither a digest nor the signature covers: such a change must be without any effect on what is found.
func TestMutations(t *testing.T) {
	const seed = 20261126
	k := newPair(t)
	p := newPlace(t, false)
	pkg, err := artifact.Pack(artifact.Package{Format: artifact.FormatArtifact, Manifests: []byte("a: 1\n")})
	if err != nil {
		t.Fatal(err)
	}
	tags := map[string]name.Tag{}
	for _, form := range []cosign.Form{cosign.Signature, cosign.Bundle} {
		tag, err := artifact.ParseTag("oci://" + p.host + "/mutated-" + string(form) + ":v1")
		if err != nil {
			t.Fatal(err)
		}
		pushed, err := artifact.Push(t.Context(), p.client, pkg, tag)
		if err != nil {
			t.Fatal(err)
		}
		sign(t, p, pushed.Ref, k, form)
		tags[string(form)] = tag
	}
	// pull verifies and pulls, and returns the signers and the content.
	pull := func(tag name.Tag, r cosign.Requirement) (any, error) {
		var signers []cosign.Signer
		p.connect(t)
		a, err := artifact.Pull(t.Context(), p.client, tag, artifact.Options{Verify: func(ctx context.Context, d name.Digest) error {
			v, err := cosign.Verify(ctx, p.client, d, r)
			if err == nil {
				signers = v.Signers
			}
			return err
		}})
		if err != nil {
			return nil, err
		}
		return []any{signers, a.Ref.DigestStr(), a.Files}, nil
	}
	type part struct {
		form cosign.Form
		// path is that of the request whose answer is changed.
		path *regexp.Regexp
		// covered parts have a digest that something else names.
		covered bool
	}
	parts := map[string]part{}
	for _, form := range []cosign.Form{cosign.Signature, cosign.Bundle} {
		manifest, err := pkg.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		f := string(form)
		parts["artifact manifest, "+f] = part{form, regexp.MustCompile(`/manifests/v1$`), true}
		parts["artifact layer, "+f] = part{form, regexp.MustCompile(manifest.Layers[0].Digest.Hex + `$`), true}
	}
	parts["signature image"] = part{cosign.Signature, regexp.MustCompile(`/manifests/sha256-.*\.sig$`), false}
	parts["signature payload"] = part{cosign.Signature, payloadPath(t, p, tags["sig"]), true}
	index, bundle, content := bundlePaths(t, p, tags["bundle"])
	parts["fallback index"] = part{cosign.Bundle, index, false}
	parts["bundle manifest"] = part{cosign.Bundle, bundle, true}
	parts["bundle"] = part{cosign.Bundle, content, true}

	counts := map[string]*tally{}
	record := func(name string, want, got any, err error, covered bool) {
		c := counts[name]
		if c == nil {
			c = &tally{}
			counts[name] = c
		}
		switch {
		case err != nil:
			c.refused++
		case covered || !reflect.DeepEqual(want, got):
			t.Errorf("%s: a mutation was accepted: %v", name, got)
		default:
			c.without++
		}
	}
	r := rand.New(rand.NewPCG(seed, 1))
	for name, part := range parts {
		tag := tags[string(part.form)]
		want, err := pull(tag, by(k))
		if err != nil {
			t.Fatal(err)
		}
		hit := false
		for range *rounds {
			p.tamper = func(path string, body []byte) []byte {
				if !part.path.MatchString(path) {
					return body
				}
				hit = true
				return mutation(r, body)
			}
			got, err := pull(tag, by(k))
			record(name, want, got, err, part.covered)
		}
		p.tamper = nil
		if !hit {
			t.Errorf("%s: nothing was changed", name)
		}
	}
	mutatedAgain(t, r, p, k, record)
	mutatedKeys(t, r, p, k, tags["sig"], record)

	all := tally{}
	for name, c := range counts {
		t.Logf("%-28s %3d refused, %2d without effect", name, c.refused, c.without)
		all.refused, all.without = all.refused+c.refused, all.without+c.without
	}
	t.Logf("%-28s %3d refused, %2d without effect", "all", all.refused, all.without)
	if *rounds >= 60 && all.refused < 500 {
		t.Errorf("only %d mutations were refused", all.refused)
	}
}

func payloadPath(t *testing.T, p *place, tag name.Tag) *regexp.Regexp {
	t.Helper()
	digest, err := artifact.Resolve(t.Context(), p.client, tag)
	if err != nil {
		t.Fatal(err)
	}
	desc, err := p.client.Get(t.Context(), tag.Tag(strings.Replace(digest.DigestStr(), ":", "-", 1)+".sig"))
	if err != nil {
		t.Fatal(err)
	}
	image, err := desc.Image()
	if err != nil {
		t.Fatal(err)
	}
	m, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(m.Layers[0].Digest.Hex + `$`)
}

func bundlePaths(t *testing.T, p *place, tag name.Tag) (index, bundle, content *regexp.Regexp) {
	t.Helper()
	digest, err := artifact.Resolve(t.Context(), p.client, tag)
	if err != nil {
		t.Fatal(err)
	}
	found, err := referrer.List(t.Context(), p.client, digest, cosign.IsBundle)
	if err != nil || len(found) != 1 {
		t.Fatalf("bundles %+v, %v", found, err)
	}
	layer, err := static.NewLayer(found[0].Content, types.OCILayer).Digest()
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`/manifests/sha256-[0-9a-f]*$`), regexp.MustCompile(found[0].Ref.DigestStr() + `$`), regexp.MustCompile(layer.Hex + `$`)
}

// mutatedAgain pushes changed signatures, so that all digests are right.
func mutatedAgain(t *testing.T, r *rand.Rand, p *place, k pair, record func(string, any, any, error, bool)) {
	digest := p.push(t, "mutated-again", "one")
	payload := []byte(`{"critical":{"identity":{"docker-reference":"x"},"image":{"docker-manifest-digest":"` + digest.DigestStr() + `"},"type":"cosign container image signature"},"optional":null}`)
	sig, err := k.signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	tagged := func(payload []byte, annotation string) (any, error) {
		image, err := mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1), mutate.Addendum{
			Layer:       static.NewLayer(payload, "application/vnd.dev.cosign.simplesigning.v1+json"),
			Annotations: map[string]string{"dev.cosignproject.cosign/signature": annotation},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.client.Push(t.Context(), digest.Context().Tag(strings.Replace(digest.DigestStr(), ":", "-", 1)+".sig"), image); err != nil {
			t.Fatal(err)
		}
		return cosign.Verify(t.Context(), p.client, digest, by(k))
	}
	text := base64.StdEncoding.EncodeToString(sig)
	if _, err := tagged(payload, text); err != nil {
		t.Fatal(err)
	}
	for range *rounds {
		got, err := tagged(mutation(r, payload), text)
		record("payload, digests right", nil, got, err, true)
		got, err = tagged(payload, string(bytes.ToValidUTF8(mutation(r, []byte(text)), []byte("?"))))
		record("annotation", nil, got, err, true)
	}

	statement, err := cosign.NewStatement(digest, cosign.SignPredicate, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := cosign.Seal(statement, k.signer)
	if err != nil {
		t.Fatal(err)
	}
	keys := by(k).Keys
	want, _, err := cosign.Open(sealed, digest, keys)
	if err != nil {
		t.Fatal(err)
	}
	for range *rounds {
		changed := mutation(r, sealed)
		got, _, err := cosign.Open(changed, digest, keys)
		// The hint is no part of what is signed, nor is the version of the media type.
		record("bundle, digests right", want, got, err, !sameButForHint(sealed, changed))
		changed = mutation(r, statement)
		if sealed, err := sealedAs(t, sealed, changed); err == nil {
			got, _, err := cosign.Open(sealed, digest, keys)
			record("statement, digests right", nil, got, err, true)
		}
	}
}

// sameButForHint tells whether two bundles have the same envelope.
func sameButForHint(a, b []byte) bool {
	var x, y struct {
		Envelope any `json:"dsseEnvelope"`
	}
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// sealedAs puts another statement into a bundle.
func sealedAs(t *testing.T, sealed, statement []byte) ([]byte, error) {
	t.Helper()
	var b map[string]any
	if err := json.Unmarshal(sealed, &b); err != nil {
		t.Fatal(err)
	}
	b["dsseEnvelope"].(map[string]any)["payload"] = base64.StdEncoding.EncodeToString(statement)
	return json.Marshal(b)
}

// mutatedKeys verifies with changed keys. One that is still the same key has lost nothing.
func mutatedKeys(t *testing.T, r *rand.Rand, p *place, k pair, tag name.Tag, record func(string, any, any, error, bool)) {
	digest, err := artifact.Resolve(t.Context(), p.client, tag)
	if err != nil {
		t.Fatal(err)
	}
	public, err := os.ReadFile(k.public)
	if err != nil {
		t.Fatal(err)
	}
	private, err := os.ReadFile(k.private)
	if err != nil {
		t.Fatal(err)
	}
	for range *rounds {
		key, err := signing.ParseVerifier("key", mutation(r, public))
		same := false
		if err == nil {
			same = key.Hint() == k.verifier.Hint()
			_, err = cosign.Verify(t.Context(), p.client, digest, cosign.Requirement{Keys: []*signing.Verifier{key}})
		}
		record("public key", nil, nil, err, !same)

		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, mutation(r, private), 0o600); err != nil {
			t.Fatal(err)
		}
		signer, err := signing.LoadSigner(path, func() ([]byte, bool) { return nil, false })
		same = false
		if err == nil {
			// What a changed key signs isn't taken for the key's.
			sig, failed := signer.Sign([]byte("x"))
			if failed != nil {
				t.Fatal(failed)
			}
			same = k.verifier.Signed([]byte("x"), sig)
			if !same {
				err = os.ErrInvalid
			}
		}
		record("private key", nil, nil, err, !same)
	}
}
