package cosign

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"strake.dev/strake/internal/registry"
)

// A tagged is the image that signatures of the older form are layers of.
type tagged struct {
	desc     *remote.Descriptor
	manifest *v1.Manifest
}

// A candidate is something that may be a signature.
type candidate struct {
	payload, sig []byte
	// err says why it is none.
	err error
}

// readTag returns the image of signatures of a digest; nil if there is none. What the tag names and is no
// image counts as one whose only signature is broken.
func readTag(ctx context.Context, client *registry.Client, digest name.Digest) (*tagged, error) {
	desc, err := client.Get(ctx, signatureTag(digest))
	if registry.NotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	t := &tagged{desc: desc, manifest: &v1.Manifest{}}
	if desc.MediaType != types.OCIManifestSchema1 && desc.MediaType != types.DockerManifestSchema2 {
		return t, nil
	}
	if m, err := v1.ParseManifest(bytes.NewReader(desc.Manifest)); err == nil && m.SchemaVersion == 2 && m.MediaType == desc.MediaType {
		t.manifest = m
	}
	return t, nil
}

// signatures are the layers of the image, broken ones included.
func (t *tagged) signatures(ctx context.Context, client *registry.Client, digest name.Digest) []candidate {
	if len(t.manifest.Layers) == 0 {
		return []candidate{{err: fmt.Errorf("%s is not an image with signatures", signatureTag(digest))}}
	}
	var all []candidate
	for _, l := range t.manifest.Layers[:min(len(t.manifest.Layers), maxSignatures)] {
		var c candidate
		c.payload, c.sig, c.err = signatureOf(ctx, client, digest, l)
		all = append(all, c)
	}
	return all
}

// signatureOf reads a layer, and the signature that its annotation holds.
func signatureOf(ctx context.Context, client *registry.Client, digest name.Digest, l v1.Descriptor) (text, sig []byte, err error) {
	switch {
	case l.MediaType != simpleSigningType:
		return nil, nil, fmt.Errorf("layer %s: expected %s, found %s", l.Digest, simpleSigningType, l.MediaType)
	case l.Size <= 0 || l.Size > maxPayload:
		return nil, nil, fmt.Errorf("layer %s: has %d bytes, expected at most %d", l.Digest, l.Size, maxPayload)
	case l.Annotations[signatureAnnotation] == "":
		return nil, nil, fmt.Errorf("layer %s: has no signature", l.Digest)
	}
	if sig, err = base64.StdEncoding.Strict().DecodeString(l.Annotations[signatureAnnotation]); err != nil {
		return nil, nil, fmt.Errorf("layer %s: the signature is not base64", l.Digest)
	}
	text, err = client.Blob(ctx, digest.Context().Digest(l.Digest.String()), l.Size)
	if err == nil && int64(len(text)) != l.Size {
		err = errors.New("has another size than its manifest says")
	}
	return text, sig, err
}
