package artifact

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"

	oci "strake.dev/strake/internal/artifact"
	"strake.dev/strake/internal/cosign"
	"strake.dev/strake/internal/signing"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// Sign says with which key the artifact is signed.
type Sign struct {
	// Key is the file with the private key, from the folder of the App's file.
	Key string `json:"key,omitempty"`
	// KeyRef names a Secret with cosign.key and, for an encrypted key, cosign.password.
	KeyRef *schema.LocalRef `json:"keyRef,omitempty"`
	// Form is sig, bundle or both.
	Form string `json:"form,omitempty" enum:"both,sig,bundle"`
}

// SetDefaults chooses what all tools can verify.
func (s *Sign) SetDefaults() { s.Form = string(cosign.Both) }

// Validate wants one key.
func (s *Sign) Validate(n *schema.Node) error {
	if (s.Key == "") == (s.KeyRef == nil) {
		return n.Errorf("expected one of key and keyRef")
	}
	return nil
}

// The keys of a Secret with a key, as cosign makes them.
const (
	secretKey      = "cosign.key"
	secretPassword = "cosign.password"
)

// signer reads the key.
func (s *Sign) signer(ctx context.Context, job *stages.Job) (*signing.Signer, error) {
	if s.KeyRef == nil {
		file := s.Key
		if !filepath.IsAbs(file) {
			file = filepath.Join(job.Dir, file)
		}
		return signing.LoadSigner(file, signing.Password(os.LookupEnv))
	}
	data, err := job.Objects.Secret(ctx, s.KeyRef.Name)
	if err != nil {
		return nil, err
	}
	text, ok := data[secretKey]
	if !ok {
		return nil, fmt.Errorf("secret %s: it has no %s", s.KeyRef.Name, secretKey)
	}
	return signing.ParseSigner(secretKey+" of secret "+s.KeyRef.Name, text, func() ([]byte, bool) {
		password, ok := data[secretPassword]
		return password, ok
	})
}

// signer reads the key; it is nil if nothing is to be signed.
func (s *step) signer(ctx context.Context, job *stages.Job) (*signing.Signer, error) {
	if s.config.Sign == nil {
		return nil, nil
	}
	signer, err := s.config.Sign.signer(ctx, job)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return signer, nil
}

// attach puts beside an artifact what belongs to it: its signature and its provenance. Where these are
// already, nothing is written.
func (s *step) attach(ctx context.Context, job *stages.Job, p *oci.Package, digest name.Digest, signer *signing.Signer) error {
	if signer != nil {
		written, err := cosign.Sign(ctx, s.registry, digest, signer, cosign.Options{Form: cosign.Form(s.config.Sign.Form)})
		if err != nil {
			return err
		}
		if written {
			stages.Log(job.Events, "signed "+digest.Name())
		}
	}
	if !s.config.Provenance {
		return nil
	}
	return s.describe(ctx, job, statement(job, p.Images), digest, signer)
}
