package artifact

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	oci "strake.dev/strake/internal/artifact"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// Config is the configuration of a publish entry.
type Config struct {
	// URL is where the manifests go: oci://HOST/REPOSITORY:TAG.
	URL string `json:"url" required:"true"`
	// Tags are further tags.
	Tags []string `json:"tags,omitempty"`
	// Format is artifact, which strake, Kustomizer and Flux read, or bundle, which is imgpkg's.
	Format string `json:"format,omitempty" enum:"artifact,bundle"`
	// Encrypt encrypts for those who have private keys of age.
	Encrypt *Encrypt `json:"encrypt,omitempty"`
	// Sign signs the artifact before its tags name it.
	Sign *Sign `json:"sign,omitempty"`
	// Provenance attaches a statement of what the manifests were made of and by what, in the form of SLSA.
	Provenance bool `json:"provenance,omitempty"`
	// PlainSecrets allows Secrets whose values anybody can read who can read the repository.
	PlainSecrets bool `json:"plainSecrets,omitempty"`
}

// Encrypt says what is encrypted, and for whom.
type Encrypt struct {
	// Recipients are public keys of age.
	Recipients []string `json:"recipients" required:"true"`
	// What is secrets, which encrypts the values of Secrets in the form of SOPS, or all.
	What string `json:"what,omitempty" enum:"secrets,all"`
}

// SetDefaults chooses what Flux can decrypt, too.
func (e *Encrypt) SetDefaults() { e.What = encryptSecrets }

const (
	encryptSecrets = "secrets"
	encryptAll     = "all"
)

// SetDefaults chooses the form that most tools read.
func (c *Config) SetDefaults() { c.Format, c.Provenance = oci.FormatArtifact, true }

// Validate checks the URL, the tags and the keys.
func (c *Config) Validate(n *schema.Node) error {
	var found schema.Diagnostics
	if _, err := c.tags(""); err != nil {
		at := n.Get("url")
		found = append(found, schema.Diagnostic{Pos: at.Pos(), Path: at.Path(), Msg: err.Error(), Hint: stages.Hint(err)})
	}
	if c.Encrypt != nil {
		if _, err := c.Encrypt.recipients(); err != nil {
			at := n.Get("encrypt").Get("recipients")
			found = append(found, schema.Diagnostic{Pos: at.Pos(), Path: at.Path(), Msg: err.Error(), Hint: stages.Hint(err)})
		}
		if c.Format == oci.FormatBundle && c.Encrypt.What == encryptAll {
			found = append(found, n.Get("encrypt").Errorf("a bundle can't be encrypted as a whole: imgpkg and kapp-controller couldn't read it"))
		}
	}
	return found.Err()
}

// tags are all tags, that of the URL first. below, if not empty, is a prefix that the repository is moved to.
func (c *Config) tags(below string) ([]name.Tag, error) {
	first, err := oci.ParseTag(c.URL)
	if err != nil {
		return nil, err
	}
	if below != "" {
		if first, err = name.NewTag(below + "/" + path.Base(first.RepositoryStr()) + ":" + first.TagStr()); err != nil {
			return nil, err
		}
	}
	all := []name.Tag{first}
	for _, text := range c.Tags {
		tag, err := name.NewTag(first.Context().Name() + ":" + text)
		if err != nil {
			return nil, fmt.Errorf("tag %q: %w", text, err)
		}
		if !slices.Contains(all, tag) {
			all = append(all, tag)
		}
	}
	return all, nil
}

func (e *Encrypt) recipients() ([]oci.Recipient, error) {
	return oci.ParseRecipients("recipients", strings.NewReader(strings.Join(e.Recipients, "\n")+"\n"))
}
