// Package planfile is the file of a saved plan: what the deploy steps of an App would do, with all that it
// takes to do exactly that later and elsewhere. It is one JSON document, or a DSSE envelope around it when
// the plan is signed. It holds the manifests, and with them whatever secrets they hold.
package planfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
	"unicode/utf8"

	"github.com/moby/sys/atomicwriter"

	"strake.dev/strake/internal/signing"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

const (
	// Kind is that of the document.
	Kind = "Plan"
	// PayloadType is that of the envelope of a signed plan.
	PayloadType = "application/vnd.strake.plan+json"
	// maxSize is how large a file may be, in bytes.
	maxSize = 256 << 20
)

// A Plan is the saved plan of an App.
type Plan struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	App        App    `json:"app"`
	// Created is when it was made, and Strake the version that made it.
	Created time.Time `json:"created"`
	Strake  string    `json:"strake"`
	// Origin tells where the manifests come from.
	Origin stages.Origin `json:"origin,omitzero"`
	// Steps are those of the deploy stage, in order.
	Steps []Step `json:"steps"`
	// Digest is the SHA-256 of the document with an empty digest, in hex.
	Digest string `json:"digest"`
}

// An App is what a plan holds of the App or Pipeline that it is for.
type App struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace"`
	Record      string            `json:"record,omitempty"`
	UID         string            `json:"uid,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	schema.Identity
}

// A Step is the plan of one deploy step.
type Step struct {
	Name   string `json:"name"`
	Plugin string `json:"plugin"`
	// Config is the configuration of the plugin.
	Config json.RawMessage `json:"config,omitempty"`
	// Timeout ends the step after that long; 0 is no limit.
	Timeout time.Duration `json:"timeout,omitempty"`
	// Manifests are what is to be deployed, and Digest is theirs.
	Manifests string       `json:"manifests"`
	Digest    string       `json:"manifestsDigest"`
	Saved     stages.Saved `json:"saved"`
}

// Empty tells whether there is nothing to do. The cluster needs not be asked for it.
func (p *Plan) Empty() bool {
	for _, s := range p.Steps {
		if len(s.Saved.Writes) > 0 {
			return false
		}
	}
	return true
}

// Write writes the plan into a file that only its user can read, whole and at once; a signer, if not
// nil, signs it. It fills in what the plan says of itself.
func (p *Plan) Write(file string, signer *signing.Signer) error {
	p.APIVersion, p.Kind = schema.APIVersion, Kind
	for i := range p.Steps {
		s := &p.Steps[i]
		if !utf8.ValidString(s.Manifests) {
			return fmt.Errorf("plan %s: the manifests of step %s aren't UTF-8", file, s.Name)
		}
		s.Digest = stages.Manifests(s.Manifests).Digest()
	}
	data, err := p.encode()
	if err == nil && signer != nil {
		data, err = signer.Seal(PayloadType, data)
	}
	if err == nil {
		err = atomicwriter.WriteFile(file, data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("plan %s: %w", file, err)
	}
	return nil
}

// encode sets the digest and returns the document, always in the same form.
func (p *Plan) encode() ([]byte, error) {
	p.Digest = ""
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	p.Digest = hex.EncodeToString(sum[:])
	if text, err = json.MarshalIndent(p, "", "  "); err != nil {
		return nil, err
	}
	return append(text, '\n'), nil
}

// Read reads a plan. With a verifier the file must be signed by its key, which else is a
// [*signing.VerifyError]; signed tells whether it is signed at all. Any other error about the content
// is a [schema.Diagnostic]: a file that isn't to the byte what was written is refused.
func Read(file string, verifier *signing.Verifier) (p *Plan, signed bool, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, false, problem(file, err, "")
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, false, problem(file, err, "")
	}
	return parse(file, data, verifier)
}

const again = "make the plan again with strake plan --out"

func parse(file string, data []byte, verifier *signing.Verifier) (*Plan, bool, error) {
	if len(data) > maxSize {
		return nil, false, problem(file, fmt.Errorf("expected a plan, found more than %d bytes", maxSize), again)
	}
	text, signed, err := signing.Open("plan "+file, PayloadType, data, verifier)
	if err != nil {
		if wrong := (*signing.VerifyError)(nil); errors.As(err, &wrong) {
			return nil, signed, stages.WithHint(err, "take the plan from where it was made, or sign it there: strake plan --out FILE --sign-key KEY")
		}
		return nil, signed, problem(file, err, again)
	}
	p, err := decode(text)
	if err != nil {
		return nil, signed, problem(file, err, again)
	}
	return p, signed, nil
}

func decode(text []byte) (*Plan, error) {
	var head struct{ APIVersion, Kind string }
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, fmt.Errorf("expected a saved plan: %w", err)
	}
	if head.APIVersion != schema.APIVersion || head.Kind != Kind {
		return nil, fmt.Errorf("expected %s %s, found %q %q", schema.APIVersion, Kind, head.APIVersion, head.Kind)
	}
	var p Plan
	reader := json.NewDecoder(bytes.NewReader(text))
	reader.DisallowUnknownFields()
	if err := reader.Decode(&p); err != nil {
		return nil, fmt.Errorf("not a plan of this strake: %w", err)
	}
	same, err := p.encode()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(same, text) {
		return nil, errors.New("its digest doesn't fit: the plan has been changed since it was made")
	}
	for _, s := range p.Steps {
		if stages.Manifests(s.Manifests).Digest() != s.Digest {
			return nil, fmt.Errorf("step %s: its manifests aren't those that were planned", s.Name)
		}
	}
	if p.App.Name == "" || len(p.Steps) == 0 {
		return nil, errors.New("it has no App, or no step")
	}
	return &p, nil
}

// problem says what is wrong with a file.
func problem(file string, err error, hint string) error {
	msg := err.Error()
	if path := (*os.PathError)(nil); errors.As(err, &path) {
		msg = path.Err.Error()
	}
	return schema.Diagnostic{Pos: schema.Pos{File: file}, Msg: msg, Hint: hint}
}
