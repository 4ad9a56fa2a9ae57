package sopsfile

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"
	"go.yaml.in/yaml/v3"
)

const (
	// version is that of SOPS whose form it is.
	version = "3.13.3"
	// The sizes of a data key and of the nonces that SOPS uses, in bytes.
	keySize, nonceSize = 32, 32
)

// Encrypted tells whether an object was encrypted by SOPS.
func Encrypted(object map[string]any) bool {
	_, ok := object[metadataKey].(map[string]any)
	return ok
}

// Encrypt encrypts the texts of a YAML document at and below the keys that a regular expression matches,
// for recipients that are known by their public keys.
func Encrypt(document []byte, keys string, recipients []age.Recipient, now time.Time) ([]byte, error) {
	m := &metadata{EncryptedRegex: keys, LastModified: now.UTC().Format(time.RFC3339), Version: version}
	var err error
	if m.encrypted, err = regexp.Compile(keys); err != nil {
		return nil, err
	}
	var doc, more yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(document))
	if err := decoder.Decode(&doc); err != nil || !errors.Is(decoder.Decode(&more), io.EOF) || doc.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("expected one YAML document, a mapping")
	}
	s := &sealer{metadata: m, key: make([]byte, keySize), mac: sha512.New()}
	_, _ = rand.Read(s.key) // never fails
	if err := s.node(doc.Content[0], nil); err != nil {
		return nil, err
	}
	if m.MAC, err = seal(fmt.Appendf(nil, "%X", s.mac.Sum(nil)), s.key, m.LastModified); err != nil {
		return nil, err
	}
	for _, r := range recipients {
		sealed, err := wrap(s.key, r)
		if err != nil {
			return nil, err
		}
		m.Age = append(m.Age, ageKey{Recipient: fmt.Sprint(r), Enc: sealed})
	}
	head := &yaml.Node{}
	if err := head.Encode(map[string]any{
		"age": m.Age, "encrypted_regex": m.EncryptedRegex, "lastmodified": m.LastModified, "mac": m.MAC, "version": m.Version,
	}); err != nil {
		return nil, err
	}
	doc.Content[0].Content = append(doc.Content[0].Content, &yaml.Node{Kind: yaml.ScalarNode, Value: metadataKey}, head)
	return yaml.Marshal(&doc)
}

// A sealer encrypts the values of one document.
type sealer struct {
	*metadata
	key []byte
	mac hash.Hash
}

func (s *sealer) node(n *yaml.Node, path []string) error {
	switch n.Kind {
	case yaml.ScalarNode:
		return s.scalar(n, path)
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if err := s.node(n.Content[i+1], append(slices.Clip(path), n.Content[i].Value)); err != nil {
				return err
			}
		}
		return nil
	}
	for _, child := range n.Content {
		if err := s.node(child, path); err != nil {
			return err
		}
	}
	return nil
}

func (s *sealer) scalar(n *yaml.Node, path []string) error {
	if n.ShortTag() == "!!null" {
		return nil
	}
	var value any
	if err := n.Decode(&value); err != nil {
		return err
	}
	text, err := asBytes(value)
	if err != nil {
		return err
	}
	s.mac.Write(text)
	if !s.covers(path, n.Value) || len(text) == 0 {
		return nil
	}
	if n.ShortTag() != "!!str" {
		return fmt.Errorf("%s: expected a text", strings.Join(path, "."))
	}
	if n.Value, err = seal(text, s.key, strings.Join(path, ":")+":"); err != nil {
		return err
	}
	n.Style, n.Tag = 0, "!!str"
	return nil
}

// seal encrypts a text and binds it to its place.
func seal(text, key []byte, bound string) (string, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return "", err
	}
	gcm, err := cipher.NewGCMWithNonceSize(block, nonceSize)
	if err != nil {
		return "", err
	}
	nonce := make([]byte, nonceSize)
	_, _ = rand.Read(nonce) // never fails
	out := gcm.Seal(nil, nonce, text, []byte(bound))
	data, tag := out[:len(out)-gcm.Overhead()], out[len(out)-gcm.Overhead():]
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("ENC[AES256_GCM,data:%s,iv:%s,tag:%s,type:str]", encode(data), encode(nonce), encode(tag)), nil
}

// wrap encrypts the data key for a recipient.
func wrap(key []byte, recipient age.Recipient) (string, error) {
	var b bytes.Buffer
	armored := armor.NewWriter(&b)
	w, err := age.Encrypt(armored, recipient)
	if err != nil {
		return "", err
	}
	if _, err := w.Write(key); err != nil {
		return "", err
	}
	if err := errors.Join(w.Close(), armored.Close()); err != nil {
		return "", err
	}
	return b.String(), nil
}
