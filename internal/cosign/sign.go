package cosign

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"strake.dev/strake/internal/referrer"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/internal/signing"
)

// Options say how something is signed.
type Options struct {
	// Form is how the signature is kept; empty is Both.
	Form Form
}

// Sign signs a digest. Signatures of others stay; where there is one of the same key already, no second one
// is made. It tells whether it has written any.
func Sign(ctx context.Context, client *registry.Client, digest name.Digest, signer *signing.Signer, opts Options) (written bool, err error) {
	own, err := signer.Verifier()
	if err != nil {
		return false, err
	}
	if opts.Form != Bundle {
		if written, err = signTag(ctx, client, digest, signer, own); err != nil {
			return written, fmt.Errorf("%s: signature: %w", digest, err)
		}
	}
	if opts.Form != Signature {
		statement, err := NewStatement(digest, SignPredicate, struct{}{})
		if err != nil {
			return written, err
		}
		attached, err := Attach(ctx, client, digest, statement, SignPredicate, signer)
		if err != nil {
			return written, fmt.Errorf("%s: signature: %w", digest, err)
		}
		written = written || attached
	}
	return written, nil
}

// Attach signs a statement about a digest and attaches it as a bundle. If there is an equal one by the same
// key already, nothing is written.
func Attach(ctx context.Context, client *registry.Client, digest name.Digest, statement []byte, predicateType string, signer *signing.Signer) (written bool, err error) {
	own, err := signer.Verifier()
	if err != nil {
		return false, err
	}
	there, err := referrer.List(ctx, client, digest, IsBundle)
	if err != nil {
		return false, err
	}
	for _, d := range there {
		if d.Err != nil {
			continue
		}
		text, ok := opened(d.Content, own)
		if !ok {
			continue
		}
		// cosign writes a signature's statement in a form of its own.
		s, err := ParseStatement(text, digest)
		if sameStatement(text, statement) || err == nil && predicateType == SignPredicate && s.PredicateType == SignPredicate {
			return false, nil
		}
	}
	sealed, err := Seal(statement, signer)
	if err != nil {
		return false, err
	}
	_, err = referrer.Attach(ctx, client, digest, referrer.Document{
		Type: BundleType, Content: sealed,
		Annotations: map[string]string{contentAnnotation: dsseContent, predicateAnnotation: predicateType},
	})
	return err == nil, err
}

// opened returns the text of a bundle's statement if it is signed by a key.
func opened(data []byte, key *signing.Verifier) ([]byte, bool) {
	b, err := parseBundle(data)
	if err != nil {
		return nil, false
	}
	text, _, err := signing.Open("bundle", StatementMediaType, b.Envelope, key)
	return text, err == nil
}

// signTag adds a signature to the image with the tag that cosign gives it.
func signTag(ctx context.Context, client *registry.Client, digest name.Digest, signer *signing.Signer, own *signing.Verifier) (bool, error) {
	image := mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1)
	there, err := readTag(ctx, client, digest)
	if err != nil {
		return false, err
	}
	if there != nil {
		for _, s := range there.signatures(ctx, client, digest) {
			if s.err == nil && own.Signed(s.payload, s.sig) && checkPayload(s.payload, digest) == nil {
				return false, nil
			}
		}
		if len(there.manifest.Layers) >= maxSignatures {
			return false, fmt.Errorf("%s has %d signatures, and no room for more", signatureTag(digest), len(there.manifest.Layers))
		}
		if image, err = there.desc.Image(); err != nil {
			return false, err
		}
	}
	text, err := newPayload(digest)
	if err != nil {
		return false, err
	}
	sig, err := signer.Sign(text)
	if err != nil {
		return false, err
	}
	image, err = mutate.Append(image, mutate.Addendum{
		Layer:       static.NewLayer(text, simpleSigningType),
		History:     v1.History{},
		Annotations: map[string]string{signatureAnnotation: base64.StdEncoding.EncodeToString(sig)},
	})
	if err != nil {
		return false, err
	}
	return true, client.Push(ctx, signatureTag(digest), image)
}

// signatureTag is where the older form keeps the signatures of a digest.
func signatureTag(digest name.Digest) name.Tag {
	return digest.Context().Tag(strings.Replace(digest.DigestStr(), ":", "-", 1) + ".sig")
}
