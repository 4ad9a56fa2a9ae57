package cosign

import (
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// Config is the configuration of a verify entry: what must be signed, and by whom.
type Config struct {
	// Paths lists folders whose sources must be signed: images and imgpkg bundles.
	Paths []string `json:"paths,omitempty"`
	// Images asks that all images of the manifests are signed, before they are deployed.
	Images bool `json:"images,omitempty"`

	// Key is a file with a public key, from the folder of the App's file.
	Key string `json:"key,omitempty"`
	// Keys lists public keys, one of which must have signed.
	Keys []schema.PublicKeyRef `json:"keys,omitempty"`
	// KeyRef names a Secret with public keys: those of the names that end in .pub, else all.
	KeyRef *schema.LocalRef `json:"keyRef,omitempty"`
	// AtLeast is how many of the keys must have signed; default: 1.
	AtLeast int `json:"atLeast,omitempty"`
	// PolicyFile is a SignaturePolicy that says by repository who must have signed, from the folder of the
	// App's file.
	PolicyFile string `json:"policyFile,omitempty"`
}

// Validate checks that it is clear what is verified, and by what.
func (c *Config) Validate(n *schema.Node) error {
	var found schema.Diagnostics
	if (len(c.Paths) > 0) == c.Images {
		d := n.Errorf("expected either paths or images: true")
		d.Hint = "sources are verified before they are used, images once they are known: make an entry for each"
		found = append(found, d)
	}
	given := 0
	for _, is := range []bool{c.Key != "", len(c.Keys) > 0, c.KeyRef != nil, c.PolicyFile != ""} {
		if is {
			given++
		}
	}
	if given != 1 {
		found = append(found, n.Errorf("expected one of key, keys, keyRef and policyFile"))
	}
	if at := n.Get("atLeast"); at != nil {
		switch {
		case c.PolicyFile != "":
			found = append(found, at.Errorf("a policy says that by itself"))
		case c.AtLeast < 1, c.KeyRef == nil && c.AtLeast > max(len(c.Keys), 1):
			found = append(found, at.Errorf("expected a number from 1 to that of the keys, found %d", c.AtLeast))
		}
	}
	for i, item := range n.Get("paths").Items() {
		if _, err := stages.Clean(c.Paths[i]); err != nil {
			found = append(found, item.Errorf("%s", err))
		}
	}
	return found.Err()
}

// refs are the keys in one form.
func (c *Config) refs() []schema.PublicKeyRef {
	switch {
	case c.Key != "":
		return []schema.PublicKeyRef{{File: c.Key}}
	case c.KeyRef != nil:
		return []schema.PublicKeyRef{{SecretRef: c.KeyRef}}
	default:
		return c.Keys
	}
}
