package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// maxConfig is how much of a configuration is read, in bytes.
const maxConfig = 16 << 20

// unknown is the platform of what isn't for one, such as an attestation.
const unknown = "unknown"

// A Summary tells what an image or an index holds.
type Summary struct {
	// Platforms are in the form linux/arm64, in the order of the index.
	Platforms []string
	// Size is that of the configurations and layers of all platforms as they are transferred, in
	// bytes; what several have in common counts once.
	Size int64
}

// Summary reads the manifest of a reference, and those that it lists if it is an index. Of a plain
// image it reads the configuration too, as only that tells the platform.
func (c *Client) Summary(ctx context.Context, ref name.Reference) (Summary, error) {
	desc, err := c.Get(ctx, ref)
	if err != nil {
		return Summary{}, err
	}
	s, err := Summarize(ctx, desc.Descriptor, func(ctx context.Context, want v1.Descriptor) ([]byte, error) {
		if want.Digest == desc.Digest {
			return desc.Manifest, nil
		}
		digest := ref.Context().Digest(want.Digest.String())
		if !want.MediaType.IsConfig() {
			got, err := c.Get(ctx, digest)
			if err != nil {
				return nil, err
			}
			return got.Manifest, nil
		}
		return each(c, digest, func(p *remote.Puller, ref name.Reference) ([]byte, error) {
			return blob(ctx, p, ref.Context().Digest(want.Digest.String()), maxConfig)
		})
	})
	if err != nil {
		return s, fmt.Errorf("%s: %w", ref.Name(), err)
	}
	return s, nil
}

// Summarize sums up an image or index. read returns the content of a manifest or configuration.
func Summarize(ctx context.Context, desc v1.Descriptor, read func(context.Context, v1.Descriptor) ([]byte, error)) (Summary, error) {
	s := summing{read: read, seen: map[v1.Hash]bool{}}
	err := s.add(ctx, desc, 0)
	return s.Summary, err
}

type summing struct {
	Summary
	read func(context.Context, v1.Descriptor) ([]byte, error)
	seen map[v1.Hash]bool
}

// maxDepth is how deep indexes may be nested.
const maxDepth = 4

func (s *summing) add(ctx context.Context, desc v1.Descriptor, depth int) error {
	if depth > maxDepth || s.seen[desc.Digest] {
		return nil
	}
	s.seen[desc.Digest] = true
	if !desc.MediaType.IsIndex() && !desc.MediaType.IsImage() {
		return nil
	}
	data, err := s.read(ctx, desc)
	if err != nil {
		return err
	}
	if desc.MediaType.IsIndex() {
		index, err := v1.ParseIndexManifest(bytes.NewReader(data))
		if err != nil {
			return fmt.Errorf("index %s: %w", desc.Digest, err)
		}
		for _, m := range index.Manifests {
			if m.Platform != nil && m.Platform.OS == unknown {
				continue
			}
			if err := s.add(ctx, m, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("manifest %s: %w", desc.Digest, err)
	}
	for _, blob := range append(manifest.Layers, manifest.Config) {
		if !s.seen[blob.Digest] {
			s.seen[blob.Digest] = true
			s.Size += blob.Size
		}
	}
	platform := desc.Platform
	if platform == nil {
		if platform, err = s.platform(ctx, manifest.Config); err != nil {
			return err
		}
	}
	if text := platform.String(); text != "" {
		s.Platforms = append(s.Platforms, text)
	}
	return nil
}

// platform is the one that an image's configuration names.
func (s *summing) platform(ctx context.Context, config v1.Descriptor) (*v1.Platform, error) {
	if !config.MediaType.IsConfig() {
		return &v1.Platform{}, nil
	}
	data, err := s.read(ctx, config)
	if err != nil {
		return nil, err
	}
	var p v1.Platform
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, fmt.Errorf("configuration %s: %w", config.Digest, err)
	}
	return &p, nil
}
