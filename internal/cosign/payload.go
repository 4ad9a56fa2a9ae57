package cosign

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// A payload is what a signature of the older form is over.
type payload struct {
	Critical struct {
		Identity struct {
			Reference string `json:"docker-reference"`
		} `json:"identity"`
		Image struct {
			Digest string `json:"docker-manifest-digest"`
		} `json:"image"`
		Type string `json:"type"`
	} `json:"critical"`
	// Optional are the signer's own annotations.
	Optional map[string]any `json:"optional"`
}

func newPayload(digest name.Digest) ([]byte, error) {
	var p payload
	p.Critical.Identity.Reference = digest.Context().Name()
	p.Critical.Image.Digest = digest.DigestStr()
	p.Critical.Type = simpleSigning
	return json.Marshal(p)
}

// checkPayload returns an error unless a payload is about a digest.
func checkPayload(data []byte, digest name.Digest) error {
	var p payload
	if err := json.Unmarshal(data, &p); err != nil {
		return fmt.Errorf("payload: %w", err)
	}
	if p.Critical.Type != simpleSigning {
		return fmt.Errorf("payload: expected the type %q, found %q", simpleSigning, p.Critical.Type)
	}
	if p.Critical.Image.Digest != digest.DigestStr() {
		return fmt.Errorf("it is for %s", p.Critical.Image.Digest)
	}
	return nil
}

// A Statement is an in-toto statement.
type Statement struct {
	Type          string          `json:"_type"`
	Subject       []Subject       `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

// A Subject is what a statement is about.
type Subject struct {
	Name   string            `json:"name,omitempty"`
	Digest map[string]string `json:"digest"`
}

// NewStatement returns a statement about a digest.
func NewStatement(digest name.Digest, predicateType string, predicate any) ([]byte, error) {
	p, err := json.Marshal(predicate)
	if err != nil {
		return nil, err
	}
	algorithm, hex, _ := strings.Cut(digest.DigestStr(), ":")
	return json.Marshal(Statement{
		Type: StatementType, Subject: []Subject{{Digest: map[string]string{algorithm: hex}}},
		PredicateType: predicateType, Predicate: p,
	})
}

// ParseStatement reads a statement, which has to be about a digest.
func ParseStatement(data []byte, digest name.Digest) (*Statement, error) {
	var s Statement
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("statement: %w", err)
	}
	if s.Type != StatementType && s.Type != oldStatementType {
		return nil, fmt.Errorf("statement: expected the type %s, found %q", StatementType, s.Type)
	}
	algorithm, hex, _ := strings.Cut(digest.DigestStr(), ":")
	for _, subject := range s.Subject {
		if hex != "" && subject.Digest[algorithm] == hex {
			return &s, nil
		}
	}
	return nil, fmt.Errorf("it is for something else than %s", digest.DigestStr())
}

// strict reads JSON into a struct, and returns an error unless that has taken all there is: a field that
// isn't known, or a value in another form than its type's, would otherwise go unnoticed.
func strict(data []byte, dst any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(dst); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("expected one document")
	}
	again, err := json.Marshal(dst)
	if err != nil {
		return err
	}
	var given, taken any
	if err := errors.Join(json.Unmarshal(data, &given), json.Unmarshal(again, &taken)); err != nil {
		return err
	}
	if !reflect.DeepEqual(given, taken) {
		return errors.New("has fields or values in a form that isn't known")
	}
	return nil
}

// sameStatement tells whether two statements say the same.
func sameStatement(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}
