package artifact

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"strake.dev/strake/internal/content"
	"strake.dev/strake/internal/manifest"
	"strake.dev/strake/internal/sopsfile"
)

// secretValues are the keys of a Secret whose values are secret.
const secretValues = "^(data|stringData)$"

// EncryptSecrets is the text of objects in which the values of Secrets are encrypted in the form of SOPS,
// which Flux decrypts too.
func EncryptSecrets(objects []*unstructured.Unstructured, recipients []Recipient) ([]byte, error) {
	var b bytes.Buffer
	for _, o := range objects {
		text, err := yaml.Marshal(o.Object)
		if err == nil && o.GetAPIVersion() == "v1" && o.GetKind() == "Secret" {
			text, err = sopsfile.Encrypt(text, secretValues, recipients, time.Now())
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", content.Name(o), err)
		}
		b.Write(text)
		b.WriteString("---\n")
	}
	return b.Bytes(), nil
}

// decryptSecrets decrypts what EncryptSecrets has encrypted. Nothing else of the text changes.
func decryptSecrets(text []byte, identities []Identity) ([]byte, error) {
	if len(identities) == 0 || !bytes.Contains(text, []byte("ENC[AES256_GCM,")) {
		return text, nil
	}
	var b bytes.Buffer
	for doc := range manifest.Documents(text) {
		var head map[string]any
		if err := yaml.Unmarshal(doc, &head); err != nil || !sopsfile.Encrypted(head) {
			b.Write(doc)
			continue
		}
		separator, rest := cut(doc)
		plain, err := sopsfile.Decrypt(rest, sopsfile.Keys{sopsfile.AgeIdentities(identities)}, func([]byte) {})
		if err != nil {
			name, _, _ := unstructured.NestedString(head, "metadata", "name")
			return nil, fmt.Errorf("secret %s: %w", name, err)
		}
		b.Write(separator)
		b.Write(plain)
	}
	return b.Bytes(), nil
}

// cut cuts the line off that begins a document.
func cut(doc []byte) (separator, rest []byte) {
	if line, after, ok := bytes.Cut(doc, []byte("\n")); ok && bytes.HasPrefix(line, []byte("---")) {
		return append(slices.Clip(line), '\n'), after
	}
	return nil, doc
}
