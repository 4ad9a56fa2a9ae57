package schema

import (
	"errors"
	"fmt"
	"regexp"

	"sigs.k8s.io/yaml"
)

// A LockedPin says what one reference of a build was when the image was built: one entry of the
// annotation [AnnotationBuildPins]. Either Image or URL is set together with Digest, or Git with Commit.
type LockedPin struct {
	// Image is an image as the Hub's users write it, such as golang:1.26.
	Image string `json:"image,omitempty"`
	// URL is that of a file.
	URL string `json:"url,omitempty"`
	// Git is a repository's URL with #REF or #REF:FOLDER.
	Git string `json:"git,omitempty"`
	// Digest is in the form sha256:….
	Digest string `json:"digest,omitempty"`
	// Commit is the full hash of a commit.
	Commit string `json:"commit,omitempty"`
}

// Ref is the reference.
func (p LockedPin) Ref() string { return p.Image + p.URL + p.Git }

// Value is what the reference was: the digest or the commit.
func (p LockedPin) Value() string { return p.Digest + p.Commit }

var (
	sha256Form = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	commitForm = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
)

// Valid tells whether the pin names one thing, and says what it was.
func (p LockedPin) Valid() bool {
	switch p {
	case LockedPin{Image: p.Image, Digest: p.Digest}, LockedPin{URL: p.URL, Digest: p.Digest}:
		return p.Ref() != "" && sha256Form.MatchString(p.Digest)
	case LockedPin{Git: p.Git, Commit: p.Commit}:
		return p.Git != "" && commitForm.MatchString(p.Commit)
	}
	return false
}

// PinsOf reads the pins of a locked image; one that wasn't built has none.
func PinsOf(i LockedImage) ([]LockedPin, error) {
	var pins []LockedPin
	if err := yaml.UnmarshalStrict([]byte(i.Annotations[AnnotationBuildPins]), &pins); err != nil {
		return nil, errors.New("expected a list of image, url or git, each with its digest or commit")
	}
	for i, p := range pins {
		if !p.Valid() {
			return nil, fmt.Errorf("entry %d: expected an image or url with a sha256 digest, or git with a commit", i+1)
		}
	}
	return pins, nil
}

// PrintPins returns the text of the annotation; no pins give an empty one.
func PrintPins(pins []LockedPin) (string, error) {
	if len(pins) == 0 {
		return "", nil
	}
	text, err := yaml.Marshal(pins)
	return string(text), err
}
