// Package referrer attaches documents to what a registry holds, such as signatures and provenance, and finds
// them. A document is an OCI manifest of its own with one layer, whose subject is what it is about
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md#guidelines-for-artifact-usage).
package referrer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"strake.dev/strake/internal/registry"
)

// The bounds of what is looked at. A registry may serve anything.
const (
	// MaxDocuments is how many referrers of one subject are read.
	MaxDocuments = 64
	// maxDocument is in bytes.
	maxDocument = 4 << 20
	maxManifest = 64 << 10
)

const emptyType types.MediaType = "application/vnd.oci.empty.v1+json"

// A Document is what is attached.
type Document struct {
	// Type is the media type of the artifact and of its content.
	Type        string
	Content     []byte
	Annotations map[string]string
}

// Attach pushes a document about a subject, by its digest, and returns the document's own.
func Attach(ctx context.Context, client *registry.Client, subject name.Digest, d Document) (name.Digest, error) {
	about, err := client.Head(ctx, subject)
	if err != nil {
		return name.Digest{}, err
	}
	layer := static.NewLayer(d.Content, types.MediaType(d.Type))
	content, err := partial.Descriptor(layer)
	if err != nil {
		return name.Digest{}, err
	}
	config, _, err := v1.SHA256(newEmpty())
	if err != nil {
		return name.Digest{}, err
	}
	raw, err := json.Marshal(manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: d.Type,
		Config: v1.Descriptor{MediaType: emptyType, Size: int64(len(emptyConfig)), Digest: config},
		Layers: []v1.Descriptor{*content}, Annotations: d.Annotations,
		Subject: &v1.Descriptor{MediaType: about.MediaType, Size: about.Size, Digest: about.Digest},
	})
	if err != nil {
		return name.Digest{}, err
	}
	image, err := partial.CompressedToImage(&core{raw: raw, layer: layer})
	if err != nil {
		return name.Digest{}, err
	}
	digest, err := image.Digest()
	if err != nil {
		return name.Digest{}, err
	}
	ref := subject.Context().Digest(digest.String())
	return ref, client.Push(ctx, ref, image)
}

// Found is a document that refers to a subject.
type Found struct {
	Ref name.Digest
	Document
	// Err says why the document can't be read; then there is only Ref.
	Err error
}

// List reads the documents about a subject that are of one of the types, at most [MaxDocuments] of them. One
// that is broken doesn't keep the others from being read; an error means that the registry can't be asked.
func List(ctx context.Context, client *registry.Client, subject name.Digest, ofType func(string) bool) ([]Found, error) {
	all, err := client.Referrers(ctx, subject)
	if err != nil {
		return nil, err
	}
	var found []Found
	looked := 0
	for _, desc := range all {
		// Some registries name the type of the configuration instead of the artifact's.
		unclear := desc.ArtifactType == "" || desc.ArtifactType == string(emptyType)
		if !ofType(desc.ArtifactType) && !unclear {
			continue
		}
		if looked++; looked > MaxDocuments {
			break
		}
		f := Found{Ref: subject.Context().Digest(desc.Digest.String())}
		f.Document, f.Err = read(ctx, client, subject, f.Ref, ofType)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !errors.Is(f.Err, errOtherType) || !unclear {
			found = append(found, f)
		}
	}
	return found, nil
}

var errOtherType = errors.New("is of another type")

func read(ctx context.Context, client *registry.Client, subject, ref name.Digest, ofType func(string) bool) (Document, error) {
	if _, err := v1.NewHash(ref.DigestStr()); err != nil {
		return Document{}, err
	}
	desc, err := client.Get(ctx, ref)
	if err != nil {
		return Document{}, err
	}
	if desc.MediaType != types.OCIManifestSchema1 || len(desc.Manifest) > maxManifest {
		return Document{}, fmt.Errorf("%s: expected an OCI manifest of at most %d bytes, found %s of %d", ref, maxManifest, desc.MediaType, len(desc.Manifest))
	}
	var m manifest
	if err := json.Unmarshal(desc.Manifest, &m); err != nil {
		return Document{}, fmt.Errorf("%s: %w", ref, err)
	}
	switch {
	case m.SchemaVersion != 2 || m.MediaType != types.OCIManifestSchema1:
		return Document{}, fmt.Errorf("%s: isn't an OCI manifest", ref)
	case m.Subject == nil || m.Subject.Digest.String() != subject.DigestStr():
		return Document{}, fmt.Errorf("%s: is about something else than %s", ref, subject.DigestStr())
	case !ofType(m.ArtifactType):
		return Document{}, fmt.Errorf("%s: %w: %s", ref, errOtherType, m.ArtifactType)
	case len(m.Layers) != 1 || !ofType(string(m.Layers[0].MediaType)):
		return Document{}, fmt.Errorf("%s: expected one layer that is the document", ref)
	case m.Layers[0].Size < 0 || m.Layers[0].Size > maxDocument:
		return Document{}, fmt.Errorf("%s: has %d bytes, expected at most %d", ref, m.Layers[0].Size, maxDocument)
	}
	layer := m.Layers[0]
	content, err := client.Blob(ctx, ref.Context().Digest(layer.Digest.String()), layer.Size)
	if err != nil {
		return Document{}, err
	}
	if int64(len(content)) != layer.Size {
		return Document{}, fmt.Errorf("%s: has %d bytes, expected %d", ref, len(content), layer.Size)
	}
	return Document{Type: string(layer.MediaType), Content: content, Annotations: m.Annotations}, nil
}

// A manifest is an OCI manifest; the library's has no artifactType.
type manifest struct {
	SchemaVersion int64             `json:"schemaVersion"`
	MediaType     types.MediaType   `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        v1.Descriptor     `json:"config"`
	Layers        []v1.Descriptor   `json:"layers"`
	Subject       *v1.Descriptor    `json:"subject,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// Types are the functions that List takes for exact types.
func Types(types ...string) func(string) bool {
	return func(t string) bool { return slices.Contains(types, t) }
}
