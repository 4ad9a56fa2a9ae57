package sopsfile

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// metadataKey is the key of a file's own data on its encryption.
const metadataKey = "sops"

// metadata is what an encrypted file says of its encryption.
type metadata struct {
	LastModified string   `yaml:"lastmodified"`
	MAC          string   `yaml:"mac"`
	Version      string   `yaml:"version"`
	Age          []ageKey `yaml:"age"`
	PGP          []pgpKey `yaml:"pgp"`
	// KeyGroups are there instead if more than one key is needed at a time.
	KeyGroups []struct {
		Age []ageKey `yaml:"age"`
		PGP []pgpKey `yaml:"pgp"`
	} `yaml:"key_groups"`

	UnencryptedSuffix       string `yaml:"unencrypted_suffix"`
	EncryptedSuffix         string `yaml:"encrypted_suffix"`
	UnencryptedRegex        string `yaml:"unencrypted_regex"`
	EncryptedRegex          string `yaml:"encrypted_regex"`
	UnencryptedCommentRegex string `yaml:"unencrypted_comment_regex"`
	EncryptedCommentRegex   string `yaml:"encrypted_comment_regex"`
	MACOnlyEncrypted        bool   `yaml:"mac_only_encrypted"`

	unencrypted, encrypted *regexp.Regexp
}

type ageKey struct {
	Recipient string `yaml:"recipient"`
	Enc       string `yaml:"enc"`
}

type pgpKey struct {
	Fingerprint string `yaml:"fp"`
	Enc         string `yaml:"enc"`
}

// takeMetadata removes the metadata from a document, and returns it; nil if there is none.
func takeMetadata(doc *yaml.Node) (*metadata, error) {
	if doc.Kind != yaml.MappingNode {
		return nil, errors.New("expected a mapping")
	}
	for i := 0; i+1 < len(doc.Content); i += 2 {
		if doc.Content[i].Value != metadataKey {
			continue
		}
		m := &metadata{}
		if err := doc.Content[i+1].Decode(m); err != nil {
			return nil, fmt.Errorf("%s: %w", metadataKey, err)
		}
		doc.Content = slices.Delete(doc.Content, i, i+2)
		return m, m.complete()
	}
	return nil, nil
}

func (m *metadata) complete() (err error) {
	if len(m.KeyGroups) > 1 {
		return errors.New("it needs keys of several groups at a time (key_groups), which is not supported")
	}
	for _, g := range m.KeyGroups {
		m.Age, m.PGP = append(m.Age, g.Age...), append(m.PGP, g.PGP...)
	}
	if m.UnencryptedRegex != "" {
		if m.unencrypted, err = regexp.Compile(m.UnencryptedRegex); err != nil {
			return fmt.Errorf("%s.unencrypted_regex: %w", metadataKey, err)
		}
	}
	if m.EncryptedRegex != "" {
		if m.encrypted, err = regexp.Compile(m.EncryptedRegex); err != nil {
			return fmt.Errorf("%s.encrypted_regex: %w", metadataKey, err)
		}
	}
	return nil
}

// recipients names those for whom a file is encrypted.
func (m *metadata) recipients() string {
	var all []string
	for _, k := range m.Age {
		all = append(all, k.Recipient)
	}
	for _, k := range m.PGP {
		all = append(all, "PGP "+k.Fingerprint)
	}
	if len(all) == 0 {
		return "neither age nor PGP"
	}
	return strings.Join(all, ", ")
}

// covers tells whether the value at a path is encrypted. Where comments decide it, the value's own form
// does: the file's MAC tells of any mistake.
func (m *metadata) covers(path []string, value string) bool {
	some := func(f func(string) bool) bool { return slices.ContainsFunc(path, f) }
	covered := m.UnencryptedSuffix == "" || !some(func(p string) bool { return strings.HasSuffix(p, m.UnencryptedSuffix) })
	if m.EncryptedSuffix != "" {
		covered = some(func(p string) bool { return strings.HasSuffix(p, m.EncryptedSuffix) })
	}
	if m.unencrypted != nil && some(m.unencrypted.MatchString) {
		covered = false
	}
	if m.encrypted != nil {
		covered = some(m.encrypted.MatchString)
	}
	if m.UnencryptedCommentRegex != "" || m.EncryptedCommentRegex != "" {
		covered = sealed.MatchString(value)
	}
	return covered
}
