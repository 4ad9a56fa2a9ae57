package referrer

import (
	"bytes"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// emptyConfig is the configuration of what needs none
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md#guidance-for-an-empty-descriptor).
const emptyConfig = "{}"

func newEmpty() io.Reader { return bytes.NewReader([]byte(emptyConfig)) }

// A core is a document in the form that the library pushes.
type core struct {
	raw   []byte
	layer v1.Layer
}

func (c *core) RawConfigFile() ([]byte, error) { return []byte(emptyConfig), nil }

func (c *core) RawManifest() ([]byte, error) { return c.raw, nil }

func (c *core) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

func (c *core) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	digest, err := c.layer.Digest()
	if err != nil {
		return nil, err
	}
	if h != digest {
		return nil, fmt.Errorf("no layer %s", h)
	}
	return c.layer, nil
}
