// Package signing signs documents and artifacts with keys in files, and verifies them. The keys are those
// that cosign makes and takes: private ones as PKCS#8 or SEC 1 in PEM, or encrypted as “ENCRYPTED
// SIGSTORE PRIVATE KEY”; public ones as PKIX in PEM. Signatures are those of sigstore: over the SHA-256
// of the message, and with Ed25519 over the message itself.
package signing

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"

	"strake.dev/strake/stages"
)

// maxKey is how large a file with a key may be, in bytes.
const maxKey = 1 << 16

// A Signer signs with a private key.
type Signer struct {
	signer signature.Signer
	path   string
}

// A Verifier checks signatures with a public key.
type Verifier struct {
	verifier signature.Verifier
	path     string
	hint     string
}

// Password returns the password of private keys that the environment has, if it has one: that of
// STRAKE_KEY_PASSWORD, else of COSIGN_PASSWORD. A password may be empty.
func Password(lookup func(name string) (string, bool)) func() ([]byte, bool) {
	return func() ([]byte, bool) {
		for _, name := range []string{"STRAKE_KEY_PASSWORD", "COSIGN_PASSWORD"} {
			if value, ok := lookup(name); ok {
				return []byte(value), true
			}
		}
		return nil, false
	}
}

var errNoPassword = errors.New("no password")

// LoadSigner reads a private key. Only an encrypted one asks for the password.
func LoadSigner(path string, password func() ([]byte, bool)) (*Signer, error) {
	text, err := readKey(path)
	if err != nil {
		return nil, err
	}
	return ParseSigner(path, text, password)
}

// ParseSigner reads the text of a private key. The name is that of the file, or whatever messages are to
// call it.
func ParseSigner(path string, text []byte, password func() ([]byte, bool)) (*Signer, error) {
	kind, err := pemType(path, text)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(kind, "PUBLIC KEY") {
		return nil, stages.WithHint(fmt.Errorf("key %s: expected a private key, found a public one", path),
			"cosign generate-key-pair writes the private key to cosign.key")
	}
	private, err := cryptoutils.UnmarshalPEMToPrivateKey(text, func(bool) ([]byte, error) {
		value, ok := password()
		if !ok {
			return nil, errNoPassword
		}
		return value, nil
	})
	switch {
	case errors.Is(err, errNoPassword):
		return nil, stages.WithHint(fmt.Errorf("key %s is encrypted, and there is no password for it", path),
			"set STRAKE_KEY_PASSWORD or COSIGN_PASSWORD")
	case err != nil && strings.HasPrefix(kind, "ENCRYPTED"):
		return nil, stages.WithHint(fmt.Errorf("key %s can't be decrypted: %w", path, err),
			"is the password in STRAKE_KEY_PASSWORD or COSIGN_PASSWORD that of the key?")
	case err != nil:
		return nil, fmt.Errorf("key %s: %w", path, err)
	}
	signer, err := signature.LoadSigner(private, crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", path, err)
	}
	return &Signer{signer: signer, path: path}, nil
}

// LoadVerifier reads a public key.
func LoadVerifier(path string) (*Verifier, error) {
	text, err := readKey(path)
	if err != nil {
		return nil, err
	}
	return ParseVerifier(path, text)
}

// ParseVerifier reads the text of a public key. The name is that of the file, or whatever messages are to
// call it.
func ParseVerifier(path string, text []byte) (*Verifier, error) {
	kind, err := pemType(path, text)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(kind, "PRIVATE KEY") {
		return nil, stages.WithHint(fmt.Errorf("key %s: expected a public key, found a private one", path),
			"cosign generate-key-pair writes the public key to cosign.pub; keep the private one where plans are made")
	}
	public, err := cryptoutils.UnmarshalPEMToPublicKey(text)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", path, err)
	}
	return newVerifier(path, public)
}

func newVerifier(path string, public crypto.PublicKey) (*Verifier, error) {
	verifier, err := signature.LoadVerifier(public, crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", path, err)
	}
	der, err := cryptoutils.MarshalPublicKeyToDER(public)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", path, err)
	}
	sum := sha256.Sum256(der)
	return &Verifier{verifier: verifier, path: path, hint: base64.StdEncoding.EncodeToString(sum[:])}, nil
}

// String names the key: by its file, if it is from one.
func (v *Verifier) String() string { return v.path }

// Named returns the key under another name for messages.
func (v *Verifier) Named(name string) *Verifier {
	named := *v
	named.path = name
	return &named
}

// Hint tells which key it is, as cosign does: by the SHA-256 of its PKIX form, in base64.
func (v *Verifier) Hint() string { return v.hint }

// Signed tells whether a signature of a message is the key's.
func (v *Verifier) Signed(message, sig []byte) bool {
	return v.verifier.VerifySignature(bytes.NewReader(sig), bytes.NewReader(message)) == nil
}

func readKey(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", path, reason(err))
	}
	if info.Mode().IsRegular() && info.Size() > maxKey {
		return nil, fmt.Errorf("key %s: expected a key, found %d bytes", path, info.Size())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", path, reason(err))
	}
	return text, nil
}

// pemType returns the type of the only block of a key's text.
func pemType(path string, text []byte) (string, error) {
	block, rest := pem.Decode(text)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return "", fmt.Errorf("key %s: expected one key in PEM, as cosign generate-key-pair makes it", path)
	}
	return block.Type, nil
}

// reason leaves the path out of an error of the file system.
func reason(err error) error {
	if path, ok := errors.AsType[*os.PathError](err); ok {
		return path.Err
	}
	return err
}

// Verifier returns what checks the signer's own signatures.
func (s *Signer) Verifier() (*Verifier, error) {
	public, err := s.signer.PublicKey()
	if err != nil {
		return nil, err
	}
	return newVerifier(s.path, public)
}

// Sign returns the signature of a message.
func (s *Signer) Sign(message []byte) ([]byte, error) {
	return s.signer.SignMessage(bytes.NewReader(message))
}

// Verify returns a [*VerifyError] unless one of the signatures of a message is the key's. What names
// the message in it.
func (v *Verifier) Verify(what string, message []byte, signatures ...[]byte) error {
	if len(signatures) == 0 {
		return &VerifyError{What: what, Unsigned: true, Reason: "it isn't signed, and a signature by " + v.path + " is required"}
	}
	if !slices.ContainsFunc(signatures, func(sig []byte) bool { return v.Signed(message, sig) }) {
		return &VerifyError{What: what, Reason: "none of its signatures is by " + v.path}
	}
	return nil
}

// A VerifyError says that a signature that is required is missing or wrong.
type VerifyError struct {
	// What names what should have been signed.
	What   string
	Reason string
	// Unsigned means that there is no signature at all, neither good nor wrong.
	Unsigned bool
}

func (e *VerifyError) Error() string { return fmt.Sprintf("%s: %s", e.What, e.Reason) }
