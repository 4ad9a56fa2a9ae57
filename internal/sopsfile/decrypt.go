package sopsfile

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"strake.dev/strake/stages"
)

// indent is that of SOPS' output.
const indent = 4

// macOnlyEncrypted begins the MAC of files in which only encrypted values count, so that the setting
// can't be changed: https://github.com/getsops/sops/blob/v3.13.3/sops.go.
var macOnlyEncrypted = sha256.Sum256([]byte("sops"))

// sealed is the form of an encrypted value.
var sealed = regexp.MustCompile(`^ENC\[AES256_GCM,data:(.+),iv:(.+),tag:(.+),type:(.+)\]`)

// Decrypt returns the plain form of an encrypted YAML file, as “sops --decrypt” prints it. hide is told
// of every value that was encrypted. Errors quote no value.
func Decrypt(data []byte, keys Keys, hide func([]byte)) ([]byte, error) {
	docs, m, err := parse(data)
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, stages.WithHint(errors.New("is not encrypted: it has no key “sops”"), "encrypt it with “sops encrypt --in-place”, or give it another name")
	}
	key, err := keys.open(m)
	if err != nil {
		return nil, err
	}
	o := &opener{metadata: m, key: key, hide: hide, mac: sha512.New()}
	if m.MACOnlyEncrypted {
		o.mac.Write(macOnlyEncrypted[:])
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(indent)
	for _, doc := range docs {
		if err := o.node(doc.Content[0], nil); err != nil {
			return nil, err
		}
		if err := encoder.Encode(doc); err != nil {
			return nil, err
		}
	}
	if err := encoder.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), o.verify()
}

// parse reads the documents of a file, without their metadata.
func parse(data []byte) (docs []*yaml.Node, first *metadata, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		doc := &yaml.Node{}
		switch err := decoder.Decode(doc); {
		case errors.Is(err, io.EOF):
			return docs, first, nil
		case err != nil:
			return nil, nil, fmt.Errorf("is not YAML: %w", err)
		}
		m, err := takeMetadata(doc.Content[0])
		if err != nil {
			return nil, nil, err
		}
		if first == nil {
			first = m
		}
		docs = append(docs, doc)
	}
}

// An opener decrypts the values of one file.
type opener struct {
	*metadata
	key  []byte
	hide func([]byte)
	mac  hash.Hash
}

// node decrypts what is at and below a node. path are the keys that lead there; list positions don't
// count.
func (o *opener) node(n *yaml.Node, path []string) error {
	switch n.Kind {
	case yaml.ScalarNode:
		return o.scalar(n, path)
	case yaml.SequenceNode:
		return o.sequence(n, path)
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			o.comments(key, key, path)
			o.comments(value, key, path)
			if err := o.node(value, append(slices.Clip(path), key.Value)); err != nil {
				return err
			}
		}
	case yaml.AliasNode:
		return fmt.Errorf("line %d: aliases are not supported in encrypted files", n.Line)
	}
	return nil
}

// sequence decrypts the items of a list. An encrypted comment is an item of its own there, and goes
// back to before the next one.
func (o *opener) sequence(n *yaml.Node, path []string) error {
	var items []*yaml.Node
	var pending string
	for _, item := range n.Content {
		if plain, ok := o.comment(item, path); ok {
			pending = strings.TrimPrefix(pending+"\n#"+plain, "\n")
			continue
		}
		o.comments(item, item, path)
		if pending != "" {
			at := item
			if len(items) == 0 {
				at = n
			}
			at.HeadComment = strings.TrimSuffix(pending+"\n"+at.HeadComment, "\n")
			pending = ""
		}
		if err := o.node(item, path); err != nil {
			return err
		}
		items = append(items, item)
	}
	if pending != "" && len(items) > 0 {
		last := items[len(items)-1]
		last.FootComment = strings.TrimPrefix(last.FootComment+"\n"+pending, "\n")
	}
	n.Content = items
	return nil
}

// comment decrypts an item of a list that is a comment.
func (o *opener) comment(n *yaml.Node, path []string) (string, bool) {
	if n.Kind != yaml.ScalarNode || !o.covers(path, n.Value) {
		return "", false
	}
	plain, kind, err := unseal(n.Value, o.key, strings.Join(path, ":")+":")
	if err != nil || kind != "comment" {
		return "", false
	}
	o.hide(plain)
	return string(plain), true
}

func (o *opener) scalar(n *yaml.Node, path []string) error {
	if n.ShortTag() == "!!null" {
		return nil
	}
	covered := o.covers(path, n.Value)
	var value any
	if covered {
		if n.ShortTag() != "!!str" {
			return fmt.Errorf("line %d: expected an encrypted value at %s", n.Line, strings.Join(path, "."))
		}
		plain, err := o.open(n.Value, path)
		if err != nil {
			return fmt.Errorf("line %d: %s: %w", n.Line, strings.Join(path, "."), err)
		}
		value = plain
	} else if err := n.Decode(&value); err != nil {
		return fmt.Errorf("line %d: %w", n.Line, err)
	}
	text, err := asBytes(value)
	if err != nil {
		return fmt.Errorf("line %d: %w", n.Line, err)
	}
	if covered || !o.MACOnlyEncrypted {
		o.mac.Write(text)
	}
	if !covered {
		return nil
	}
	o.hide(text)
	head, line, foot := n.HeadComment, n.LineComment, n.FootComment
	if err := n.Encode(value); err != nil {
		return fmt.Errorf("line %d: %w", n.Line, err)
	}
	n.HeadComment, n.LineComment, n.FootComment = head, line, foot
	return nil
}

// comments decrypts the comments of a node, line by line; those that are plain stay. An encrypted one
// that stood beside a value goes before head, as SOPS doesn't remember where it was.
func (o *opener) comments(n, head *yaml.Node, path []string) {
	n.HeadComment, _ = o.lines(n.HeadComment, path)
	n.FootComment, _ = o.lines(n.FootComment, path)
	line, encrypted := o.lines(n.LineComment, path)
	n.LineComment = line
	if encrypted {
		head.HeadComment = strings.TrimPrefix(head.HeadComment+"\n"+line, "\n")
		n.LineComment = ""
	}
}

// lines decrypts the lines of a comment, and tells whether any of them was encrypted.
func (o *opener) lines(text string, path []string) (plain string, encrypted bool) {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if plain, err := o.open(strings.TrimPrefix(line, "#"), path); err == nil && line != "" {
			lines[i], encrypted = fmt.Sprint("#", plain), true
			o.hide(fmt.Append(nil, plain))
		}
	}
	return strings.Join(lines, "\n"), encrypted
}

// open decrypts one value, which is bound to its path.
func (o *opener) open(value string, path []string) (any, error) {
	if value == "" {
		return "", nil
	}
	plain, kind, err := unseal(value, o.key, strings.Join(path, ":")+":")
	if err != nil {
		return nil, err
	}
	switch text := string(plain); kind {
	case "str", "comment":
		return text, nil
	case "int":
		return strconv.Atoi(text)
	case "float":
		return strconv.ParseFloat(text, 64)
	case "bool":
		return strconv.ParseBool(text)
	case "bytes":
		return text, nil
	case "time":
		var t time.Time
		err := t.UnmarshalText(plain)
		return t, err
	}
	return nil, fmt.Errorf("unknown type %q", kind)
}

// unseal decrypts a text of the form ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]. bound is what it was
// bound to.
func unseal(value string, key []byte, bound string) (plain []byte, kind string, err error) {
	parts := sealed.FindStringSubmatch(value)
	if parts == nil {
		return nil, "", errors.New("is not encrypted, although it should be")
	}
	var raw [3][]byte
	for i := range raw {
		if raw[i], err = base64.StdEncoding.DecodeString(parts[i+1]); err != nil {
			return nil, "", errors.New("the encrypted value is damaged")
		}
	}
	data, iv, tag := raw[0], raw[1], raw[2]
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, "", err
	}
	if len(iv) == 0 {
		return nil, "", errors.New("the encrypted value is damaged")
	}
	gcm, err := cipher.NewGCMWithNonceSize(block, len(iv))
	if err != nil {
		return nil, "", err
	}
	if plain, err = gcm.Open(nil, iv, append(data, tag...), []byte(bound)); err != nil {
		return nil, "", errors.New("the encrypted value was changed, or moved from another place")
	}
	return plain, parts[4], nil
}

// verify compares the MAC over all values with that of the file.
func (o *opener) verify() error {
	at, err := time.Parse(time.RFC3339, o.LastModified)
	if err != nil {
		return fmt.Errorf("%s.lastmodified: %w", metadataKey, err)
	}
	want, _, err := unseal(o.MAC, o.key, at.Format(time.RFC3339))
	if err == nil && subtle.ConstantTimeCompare(want, fmt.Appendf(nil, "%X", o.mac.Sum(nil))) == 1 {
		return nil
	}
	return stages.WithHint(errors.New("MAC mismatch: the file was changed without sops"),
		"edit it with “sops edit”; a value that was changed by hand can't be told from one that somebody forged")
}

// asBytes is the form in which a value is part of the MAC.
func asBytes(value any) ([]byte, error) {
	switch v := value.(type) {
	case string:
		return []byte(v), nil
	case int:
		return strconv.AppendInt(nil, int64(v), 10), nil
	case float64:
		return strconv.AppendFloat(nil, v, 'f', -1, 64), nil
	case bool:
		if v {
			return []byte("True"), nil
		}
		return []byte("False"), nil
	case time.Time:
		return v.MarshalText()
	}
	return nil, fmt.Errorf("values of type %T are not supported", value)
}
