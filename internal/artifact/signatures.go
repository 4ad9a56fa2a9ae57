package artifact

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"strake.dev/strake/internal/registry"
)

// withOthers is the image of signatures that a tag is to name: those to copy, and those that the tag has
// already.
func withOthers(ctx context.Context, client *registry.Client, tag name.Tag, p piece) (remote.Taggable, error) {
	there, err := fetch(ctx, client, tag, roleSignature)
	if registry.NotFound(err) || err == nil && there.digest == p.digest {
		return p.content, nil
	}
	if err != nil {
		return nil, err
	}
	old, isImage := there.content.(v1.Image)
	fresh, isToo := p.content.(v1.Image)
	if !isImage || !isToo {
		return nil, fmt.Errorf("%s: expected signatures of cosign", tag.Name())
	}
	has, err := old.Manifest()
	if err != nil {
		return nil, err
	}
	comes, err := fresh.Manifest()
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	id := func(d v1.Descriptor) string { return d.Digest.String() + " " + fmt.Sprint(d.Annotations) }
	for _, d := range has.Layers {
		known[id(d)] = true
	}
	merged := old
	for _, d := range comes.Layers {
		if known[id(d)] {
			continue
		}
		layer, err := fresh.LayerByDigest(d.Digest)
		if err != nil {
			return nil, err
		}
		if merged, err = mutate.Append(merged, mutate.Addendum{Layer: layer, MediaType: d.MediaType, Annotations: d.Annotations}); err != nil {
			return nil, err
		}
	}
	return merged, nil
}
