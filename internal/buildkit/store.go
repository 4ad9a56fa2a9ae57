package buildkit

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/content"
	contentlocal "github.com/containerd/containerd/v2/plugins/content/local"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
)

// A store is a temporary folder that the daemon sends an image to. What comes is compared with its
// digest.
type store struct {
	dir     string
	content content.Store
}

// newStore makes a store below a folder; the caller closes it.
func newStore(temp string) (*store, error) {
	if temp != "" {
		if err := os.MkdirAll(temp, 0o755); err != nil {
			return nil, err
		}
	}
	dir, err := os.MkdirTemp(temp, "image-")
	if err != nil {
		return nil, err
	}
	c, err := contentlocal.NewStore(dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &store{dir: dir, content: c}, nil
}

func (s *store) close() error { return os.RemoveAll(s.dir) }

// A fetched is an image or index in a store, with everything that belongs to it.
type fetched struct {
	*store
	desc v1.Descriptor
	// blobs are all blobs, each once, those before the manifests that name them.
	blobs []v1.Descriptor
}

// take finds what the daemon says that it has sent.
func (s *store) take(response map[string]string) (*fetched, error) {
	data, err := base64.StdEncoding.DecodeString(response[exptypes.ExporterImageDescriptorKey])
	if err != nil {
		return nil, fmt.Errorf("the daemon's descriptor of the image can't be read: %w", err)
	}
	f := &fetched{store: s}
	if err := json.Unmarshal(data, &f.desc); err != nil {
		return nil, fmt.Errorf("the daemon's descriptor of the image can't be read: %w", err)
	}
	f.desc.Annotations = nil
	if named := response[digestKey]; f.desc.Digest.String() != named {
		return nil, fmt.Errorf("the daemon says that it has built %s, but sent %s", named, f.desc.Digest)
	}
	f.blobs, err = closure(s, f.desc)
	return f, err
}

// size is the size of a blob in the store.
func (s *store) size(h v1.Hash) (int64, error) {
	info, err := os.Stat(s.path(h))
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (s *store) path(h v1.Hash) string {
	return filepath.Join(s.dir, filepath.FromSlash(blobPath("", h)))
}

func (s *store) open(h v1.Hash) (io.ReadCloser, error) { return os.Open(s.path(h)) }

// blobs are where the blobs of images lie.
type blobs interface {
	size(v1.Hash) (int64, error)
	open(v1.Hash) (io.ReadCloser, error)
}

// maxNested is how deep indexes may lie in indexes.
const maxNested = 4

// closure lists what belongs to an image or index, each blob once, those before the manifests that
// name them. It is an error when one isn't there whole.
func closure(in blobs, desc v1.Descriptor) ([]v1.Descriptor, error) {
	var list []v1.Descriptor
	seen := map[v1.Hash]bool{}
	var add func(v1.Descriptor, int) error
	add = func(d v1.Descriptor, depth int) error {
		if seen[d.Digest] {
			return nil
		}
		seen[d.Digest] = true
		if depth > maxNested {
			return fmt.Errorf("indexes lie more than %d deep in %s", maxNested, desc.Digest)
		}
		switch size, err := in.size(d.Digest); {
		case err != nil:
			return err
		case size != d.Size:
			return fmt.Errorf("%s has %d bytes, expected %d", d.Digest, size, d.Size)
		}
		children, err := childrenOf(in, d)
		if err != nil {
			return err
		}
		for _, child := range children {
			if err := add(child, depth+1); err != nil {
				return err
			}
		}
		list = append(list, d)
		return nil
	}
	return list, add(desc, 0)
}

// childrenOf lists what a manifest or index names.
func childrenOf(in blobs, d v1.Descriptor) ([]v1.Descriptor, error) {
	if !d.MediaType.IsIndex() && !d.MediaType.IsImage() {
		return nil, nil
	}
	data, err := readBlob(in, d.Digest)
	if err != nil {
		return nil, err
	}
	if d.MediaType.IsIndex() {
		index, err := v1.ParseIndexManifest(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("index %s: %w", d.Digest, err)
		}
		return index.Manifests, nil
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	return append(manifest.Layers, manifest.Config), nil
}

func readBlob(in blobs, h v1.Hash) ([]byte, error) {
	r, err := in.open(h)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, maxIndex))
}

// index is the index.json of a layout that holds only this image.
func (f *fetched) index(tag string) ([]byte, error) {
	desc := f.desc
	if tag != "" {
		desc.Annotations = map[string]string{refName: tag}
	}
	return json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{desc}})
}

// taggable is the image or index in the form in which it can be pushed.
func (f *fetched) taggable() (remote.Taggable, error) {
	index, err := f.index("")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(f.dir, indexFile), index, 0o644); err != nil {
		return nil, err
	}
	all, err := layout.ImageIndexFromPath(f.dir)
	if err != nil {
		return nil, err
	}
	if f.desc.MediaType.IsIndex() {
		return all.ImageIndex(f.desc.Digest)
	}
	return all.Image(f.desc.Digest)
}
