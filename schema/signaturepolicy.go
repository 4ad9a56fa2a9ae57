package schema

import (
	"fmt"
	"strings"
)

// KindSignaturePolicy is the kind of the files that say who must have signed what.
const KindSignaturePolicy = "SignaturePolicy"

// A SignaturePolicy says who must have signed what is in registries, by repository.
type SignaturePolicy struct {
	// APIVersion is strake.dev/v1alpha1.
	APIVersion string `json:"apiVersion" required:"true" enum:"strake.dev/v1alpha1"`
	Kind       string `json:"kind" required:"true" enum:"SignaturePolicy"`
	// Metadata may name the policy.
	Metadata *Metadata           `json:"metadata,omitempty"`
	Spec     SignaturePolicySpec `json:"spec" required:"true"`
}

// SignaturePolicySpec holds the rules; the first one that matches a repository counts. What none matches is
// refused.
type SignaturePolicySpec struct {
	// Rules are looked at in order.
	Rules []SignatureRule `json:"rules" required:"true"`
}

// A SignatureRule says who must have signed what is in some repositories: either keys, or
// unsigned.
type SignatureRule struct {
	// Match lists patterns of repositories, such as registry.example.com/team/**: * stands for anything
	// without a slash, ** for anything.
	Match []string `json:"match" required:"true"`
	// Keys lists public keys, one of which must have signed.
	Keys []PublicKeyRef `json:"keys,omitempty"`
	// AtLeast is how many of the keys must have signed; default: 1.
	AtLeast int `json:"atLeast,omitempty"`
	// Unsigned lets in what isn't signed.
	Unsigned bool `json:"unsigned,omitempty"`
}

// Validate checks what concerns more than one field.
func (r *SignatureRule) Validate(n *Node) error {
	var found Diagnostics
	if (len(r.Keys) > 0) == r.Unsigned {
		d := n.Errorf("expected either keys or unsigned: true")
		d.Hint = "“unsigned: true” lets in what nobody has signed"
		found = append(found, d)
	}
	if at := n.Get("atLeast"); at != nil && (r.AtLeast < 1 || r.AtLeast > len(r.Keys)) {
		found = append(found, at.Errorf("expected a number from 1 to that of the keys, %d, found %d", len(r.Keys), r.AtLeast))
	}
	for i, item := range n.Get("match").Items() {
		if text := r.Match[i]; text == "" || strings.ContainsAny(text, "@ ") || strings.Contains(text, "://") || strings.Contains(text, "***") {
			d := item.Errorf("expected a pattern of repositories, found %q", text)
			d.Hint = "for example registry.example.com/team/**, without a scheme, tag or digest"
			found = append(found, d)
		}
	}
	if n.Get("match") != nil && len(r.Match) == 0 {
		found = append(found, n.Get("match").Errorf("is empty, but required"))
	}
	return found.Err()
}

// A PublicKeyRef points to a public key: exactly one of file, data and secretRef.
type PublicKeyRef struct {
	// File is a PEM file; relative paths count from the folder of the file that names it.
	File string `json:"file,omitempty"`
	// Data is the key itself, in PEM.
	Data string `json:"data,omitempty"`
	// SecretRef names a Secret in the App's namespace whose values are keys.
	SecretRef *LocalRef `json:"secretRef,omitempty"`
}

// Validate checks that there is one source of the key.
func (k *PublicKeyRef) Validate(n *Node) error {
	given := 0
	for _, is := range []bool{k.File != "", k.Data != "", k.SecretRef != nil} {
		if is {
			given++
		}
	}
	if given != 1 {
		return n.Errorf("expected one of file, data and secretRef")
	}
	return nil
}

// LoadSignaturePolicy reads a policy. The error is a [Diagnostics] with all problems of the file.
func LoadSignaturePolicy(name string, data []byte) (*SignaturePolicy, error) {
	docs, err := Parse(name, data)
	if err != nil {
		return nil, err
	}
	if len(docs) != 1 {
		return nil, Diagnostics{{
			Pos: Pos{File: name}, Msg: fmt.Sprintf("expected one document, found %d", len(docs)),
			Hint: "a policy has apiVersion: " + APIVersion + " and kind: " + KindSignaturePolicy,
		}}
	}
	var p SignaturePolicy
	if err := Decode(docs[0], &p); err != nil {
		return nil, err
	}
	return &p, nil
}
