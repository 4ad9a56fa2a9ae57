package cosign

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"

	"strake.dev/strake/internal/signing"
)

// A bundle is a sigstore bundle
// (https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto).
type bundle struct {
	MediaType string   `json:"mediaType"`
	Material  material `json:"verificationMaterial"`
	// Envelope is a DSSE envelope; bundles of plain signatures have none.
	Envelope json.RawMessage `json:"dsseEnvelope"`
}

// A material is what there is to verify a bundle with. Only that of keys is read here.
type material struct {
	PublicKey   *publicKey      `json:"publicKey,omitempty"`
	Certificate json.RawMessage `json:"certificate,omitempty"`
	Chain       json.RawMessage `json:"x509CertificateChain,omitempty"`
	Log         json.RawMessage `json:"tlogEntries,omitempty"`
	Timestamps  json.RawMessage `json:"timestampVerificationData,omitempty"`
}

type publicKey struct {
	// Hint helps to find the key among many; it isn't signed.
	Hint *string `json:"hint,omitempty"`
}

// An envelope is a DSSE envelope, as strict has it.
type envelope struct {
	Payload     []byte     `json:"payload"`
	PayloadType string     `json:"payloadType"`
	Signatures  []sealMark `json:"signatures"`
}

type sealMark struct {
	Sig   []byte  `json:"sig"`
	KeyID *string `json:"keyid,omitempty"`
}

// Seal returns a statement, signed, as a bundle.
func Seal(statement []byte, signer *signing.Signer) ([]byte, error) {
	verifier, err := signer.Verifier()
	if err != nil {
		return nil, err
	}
	sealed, err := signer.Seal(StatementMediaType, statement)
	if err != nil {
		return nil, err
	}
	hint := verifier.Hint()
	return json.Marshal(bundle{MediaType: BundleType, Material: material{PublicKey: &publicKey{Hint: &hint}}, Envelope: sealed})
}

// errCertificate says that a bundle was signed with a certificate and not with a key.
var errCertificate = errors.New("it is by a certificate, not by a key")

// parseBundle reads a bundle that is signed with a key.
func parseBundle(data []byte) (*bundle, error) {
	var b bundle
	if err := strict(data, &b); err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	var e envelope
	switch {
	case !IsBundle(b.MediaType):
		return nil, fmt.Errorf("bundle: the media type %q isn't known", b.MediaType)
	case b.Material.Certificate != nil || b.Material.Chain != nil:
		return nil, errCertificate
	case b.Material.PublicKey == nil:
		return nil, errors.New("bundle: it names no key")
	}
	if err := strict(b.Envelope, &e); err != nil {
		return nil, fmt.Errorf("bundle: envelope: %w", err)
	}
	// Of the statements in one envelope one signature each is what sigstore's own tools take.
	if len(e.Signatures) != 1 {
		return nil, fmt.Errorf("bundle: expected one signature, found %d", len(e.Signatures))
	}
	return &b, nil
}

// Open returns the statement of a bundle about a digest, which is signed by one of the keys, and that key.
func Open(data []byte, digest name.Digest, keys []*signing.Verifier) (*Statement, *signing.Verifier, error) {
	b, err := parseBundle(data)
	if err != nil {
		return nil, nil, err
	}
	for _, key := range keys {
		text, _, err := signing.Open("bundle", StatementMediaType, b.Envelope, key)
		if err != nil {
			if _, wrong := errors.AsType[*signing.VerifyError](err); wrong {
				continue
			}
			return nil, nil, err
		}
		s, err := ParseStatement(text, digest)
		return s, key, err
	}
	return nil, nil, errOther
}

// errOther says that a signature is none of the keys'.
var errOther = errors.New("it is by another key")

// Peek returns the statement of a bundle without a look at its signature.
func Peek(data []byte, digest name.Digest) (*Statement, error) {
	var b bundle
	if err := json.Unmarshal(data, &b); err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	text, signed, err := signing.Open("bundle", StatementMediaType, b.Envelope, nil)
	if err != nil {
		return nil, err
	}
	if !signed {
		return nil, errors.New("bundle: it has no envelope")
	}
	return ParseStatement(text, digest)
}
