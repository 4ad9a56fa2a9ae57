// Package cosign signs what a registry holds with keys, and verifies such signatures, in both forms that
// cosign has. Neither needs cosign itself, nor any server but the registry.
//
// The older form keeps signatures as layers of an image with the tag sha256-HEX.sig
// (https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md); all versions of cosign and Flux know
// it. The newer one is a sigstore bundle (https://docs.sigstore.dev/about/bundle/) with an in-toto statement
// that refers to what is signed; it is what cosign 3 writes, and Flux reads since 2.8.
//
// What is signed is a digest. The name that the older form has in its payload says nothing about where
// something is from, and isn't looked at.
package cosign

import "strings"

const (
	simpleSigningType   = "application/vnd.dev.cosign.simplesigning.v1+json"
	signatureAnnotation = "dev.cosignproject.cosign/signature"
	// simpleSigning is what the older form calls itself.
	simpleSigning = "cosign container image signature"

	// BundleType is the media type of the bundles that are written.
	BundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"
	// SignPredicate is the type of the statements that are signatures and no more.
	SignPredicate = "https://sigstore.dev/cosign/sign/v1"
	// StatementType is the type of in-toto's statements (https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md).
	StatementType = "https://in-toto.io/Statement/v1"
	// oldStatementType is what cosign attest calls them.
	oldStatementType = "https://in-toto.io/Statement/v0.1"
	// StatementMediaType is what they are as a payload.
	StatementMediaType = "application/vnd.in-toto+json"

	contentAnnotation   = "dev.sigstore.bundle.content"
	predicateAnnotation = "dev.sigstore.bundle.predicateType"
	dsseContent         = "dsse-envelope"
)

// The bounds of what is looked at: a registry may serve anything.
const (
	// maxSignatures is how many signatures of the older form are looked at.
	maxSignatures = 64
	// maxPayload is in bytes.
	maxPayload = 64 << 10
)

// IsBundle tells whether a media type is that of a sigstore bundle, in any version.
func IsBundle(mediaType string) bool {
	return strings.HasPrefix(mediaType, "application/vnd.dev.sigstore.bundle.v0.") && strings.HasSuffix(mediaType, "+json") ||
		strings.HasPrefix(mediaType, "application/vnd.dev.sigstore.bundle+json;version=0.")
}

// A Form is how signatures are kept.
type Form string

// The forms. Both is the default: what verifies may know only one of them.
const (
	Both      Form = "both"
	Signature Form = "sig"
	Bundle    Form = "bundle"
)

// Forms lists the forms.
func Forms() []string { return []string{string(Both), string(Signature), string(Bundle)} }
