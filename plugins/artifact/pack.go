package artifact

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	oci "strake.dev/strake/internal/artifact"
	"strake.dev/strake/internal/content"
	"strake.dev/strake/stages"
)

// content is what the artifact is made of, not yet encrypted.
func (s *step) content(job *stages.Job) (*oci.Package, []name.Tag, error) {
	tags, err := s.config.tags(job.Repositories)
	if err != nil {
		return nil, nil, err
	}
	set, err := content.Parse("manifests", job.Manifests)
	if err != nil {
		return nil, nil, err
	}
	if len(set.Objects) == 0 {
		return nil, nil, stages.WithHint(content.ErrNoObjects, "a publish step comes after those that render")
	}
	if names := secrets(set); len(names) > 0 && s.config.Encrypt == nil && !s.config.PlainSecrets {
		return nil, nil, stages.WithHint(fmt.Errorf("the values of %s would be readable for everybody who may pull the artifact", strings.Join(names, ", ")),
			"encrypt them with “encrypt: {recipients: [age1…]}”, or allow it with “plainSecrets: true”")
	}
	p := &oci.Package{
		Format: s.config.Format, Images: oci.Locked(set.Images(nil), job.Resolved...), Date: dateOf(job), Source: job.Origin.Source, Revision: job.Origin.Revision,
	}
	p.Manifests, err = set.YAML()
	return p, tags, err
}

// pack makes the artifact, encrypted if that is wanted.
func (s *step) pack(p *oci.Package) (v1.Image, error) {
	sealed := *p
	if e := s.config.Encrypt; e != nil {
		recipients, err := e.recipients()
		if err != nil {
			return nil, err
		}
		if sealed.Encrypted = e.What == encryptAll; sealed.Encrypted {
			sealed.Manifests, err = oci.Encrypt(p.Manifests, recipients)
		} else {
			var set *content.Set
			if set, err = content.Parse("manifests", p.Manifests); err == nil {
				sealed.Manifests, err = oci.EncryptSecrets(set.Objects, recipients)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return oci.Pack(sealed)
}

// secrets names the Secrets of a set that have values.
func secrets(set *content.Set) []string {
	var names []string
	for _, o := range set.Objects {
		if o.GetAPIVersion() == "v1" && o.GetKind() == "Secret" && (o.Object["data"] != nil || o.Object["stringData"] != nil) {
			names = append(names, content.Name(o))
		}
	}
	return names
}

// dateOf is the date of the newest source; zero if none has one.
func dateOf(job *stages.Job) time.Time {
	var newest time.Time
	for _, date := range job.SourceDates {
		if date.After(newest) {
			newest = date
		}
	}
	return newest
}
