package buildkit

import (
	"context"
	"encoding/base64"
	"encoding/json"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/content/proxy"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"strake.dev/strake/internal/registry"
)

// A Result is what a build made.
type Result struct {
	// Digest is that of the image, or of the index when there are several platforms or attestations.
	Digest string
	// Size is that of the configurations and layers of all platforms as they are transferred, in
	// bytes; 0 when the daemon couldn't tell.
	Size int64
	// Platforms are those of the image, in the form linux/arm64.
	Platforms []string
	// Daemon is the address of the daemon that has built, without a password.
	Daemon string
	// Steps counts the steps of the Dockerfile besides FROM, and Cached those of them that the daemon had
	// done before.
	Cached, Steps int
	// Seconds is how long it took, with the push.
	Seconds float64
}

// describe fills in what the image holds, if the blobs are to be had.
func (r *Result) describe(ctx context.Context, blobs content.Provider, response map[string]string, b *Build) {
	r.Platforms = b.source.Platforms
	var desc v1.Descriptor
	data, err := base64.StdEncoding.DecodeString(response[exptypes.ExporterImageDescriptorKey])
	if err != nil || json.Unmarshal(data, &desc) != nil {
		return
	}
	// The daemon's own platform of a plain image is a guess of what its configuration says.
	desc.Platform = nil
	s, err := registry.Summarize(ctx, desc, func(ctx context.Context, d v1.Descriptor) ([]byte, error) {
		return content.ReadBlob(ctx, blobs, ocispec.Descriptor{
			MediaType: string(d.MediaType), Digest: digest.Digest(d.Digest.String()), Size: d.Size,
		})
	})
	if err == nil {
		r.Size, r.Platforms = s.Size, s.Platforms
	}
}

// daemonBlobs reads the blobs that a daemon has.
func daemonBlobs(bk *client.Client) content.Provider {
	return proxy.NewContentStore(bk.ContentClient())
}
