package source

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"strake.dev/strake/internal/cache"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/plugins/vendir/download"
	"strake.dev/strake/plugins/vendir/unpack"
	"strake.dev/strake/stages"
)

// An image is one in a registry whose parts are kept in the cache.
type image struct {
	client *registry.Client
	cache  *cache.Store
	ref    name.Digest
	// shown is the reference for people.
	shown    string
	manifest *v1.Manifest
}

// openNotes are of references by digest that a registry has given to somebody without credentials.
const openNotes = "image"

// open reads the manifest. The registry is asked for it, or, where the cache has it, for permission; pinned
// tells that it hasn't been asked yet.
func (i *image) open(ctx context.Context, pinned bool) error {
	anonymous := i.client.Anonymous(ctx, i.ref.Context())
	known, err := i.cache.Blob(ctx, i.ref.DigestStr())
	if err != nil {
		return err
	}
	if known != nil && pinned {
		var open bool
		if !anonymous || !i.cache.Note(openNotes, i.ref.Name(), &open) || !open {
			if _, err := i.client.Head(ctx, i.ref); err != nil {
				known.Close()
				return err
			}
		}
	}
	if known == nil {
		if known, err = i.cache.Fill(ctx, i.ref.DigestStr(), i.getManifest(ctx)); err != nil {
			return err
		}
	}
	defer known.Close()
	if anonymous {
		i.cache.SetNote(openNotes, i.ref.Name(), true)
	}
	text, err := io.ReadAll(io.LimitReader(known, maxManifest))
	if err != nil {
		return err
	}
	if i.manifest, err = v1.ParseManifest(bytes.NewReader(text)); err != nil {
		return err
	}
	if i.manifest.Config.Digest.Hex == "" {
		return stages.WithHint(&noImageError{string(i.manifest.MediaType)}, "name one image of it by its digest")
	}
	return nil
}

// A noImageError says that a reference is something else than an image.
type noImageError struct{ mediaType string }

func (e *noImageError) Error() string { return "is no image, but of the type " + e.mediaType }

// maxManifest is the size in bytes that registries allow for manifests.
const maxManifest = 4 << 20

func (i *image) getManifest(ctx context.Context) func(*os.File) error {
	return func(f *os.File) error {
		desc, err := i.client.Get(ctx, i.ref)
		if err != nil {
			return err
		}
		if !desc.MediaType.IsImage() {
			return stages.WithHint(&noImageError{string(desc.MediaType)}, "name one image of it by its digest")
		}
		_, err = f.Write(desc.Manifest)
		return err
	}
}

// config reads the image's configuration.
func (i *image) config(ctx context.Context) (*v1.ConfigFile, error) {
	f, err := i.blob(ctx, i.manifest.Config.Digest, nil)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return v1.ParseConfigFile(io.LimitReader(f, maxManifest))
}

// blob returns a part of the image at its start. The caller must close it.
func (i *image) blob(ctx context.Context, digest v1.Hash, progress func(int64)) (*os.File, error) {
	ref := i.ref.Context().Digest(digest.String())
	return i.cache.Fill(ctx, digest.String(), func(f *os.File) error { return patiently(ctx, i.client, ref, f, progress) })
}

const blobAttempts = 3

// patiently downloads a blob, and tries again where the connection breaks.
func patiently(ctx context.Context, c *registry.Client, ref name.Digest, f *os.File, progress func(int64)) error {
	for attempt := 1; ; attempt++ {
		err := c.Download(ctx, ref, f, progress)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case attempt == blobAttempts || !download.Transient(err) && !registry.Passing(err):
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(attempt) * 500 * time.Millisecond):
		}
	}
}

// layersAtOnce is how many layers of an image are downloaded at the same time.
const layersAtOnce = 4

// unpack writes the content of the image's layers, one on top of the other. Each layer is downloaded, and its
// digest verified, before anything is unpacked.
func (i *image) unpack(ctx context.Context, job *stages.Job, to *os.Root) error {
	limits := unpack.DefaultLimits()
	total := int64(0)
	for _, l := range i.manifest.Layers {
		if total += l.Size; l.Size < 0 || total > limits.Bytes {
			return fmt.Errorf("%s: its layers have more than %d bytes", i.shown, limits.Bytes)
		}
	}
	t := startTask(job.Events, "layers", i.shown)
	layers, err := i.layers(ctx, total, t)
	t.end(err)
	defer func() {
		for _, f := range layers {
			if f != nil {
				f.Close()
			}
		}
	}()
	if err != nil {
		return fmt.Errorf("%s: %w", i.shown, err)
	}
	u := unpack.New(to, limits)
	for n, f := range layers {
		if err := u.Layer(ctx, f); err != nil {
			return fmt.Errorf("%s: layer %d of %d: %w", i.shown, n+1, len(layers), err)
		}
	}
	return nil
}

// layers returns the layers' files, as far as they could be had.
func (i *image) layers(ctx context.Context, total int64, t *task) ([]*os.File, error) {
	files := make([]*os.File, len(i.manifest.Layers))
	parts := newParts(len(files), func(n int64) { t.bytes(n, total) })
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(layersAtOnce)
	for n, l := range i.manifest.Layers {
		g.Go(func() (err error) {
			if files[n], err = i.blob(ctx, l.Digest, func(done int64) { parts.set(n, done) }); err != nil {
				return fmt.Errorf("layer %d of %d: %w", n+1, len(files), err)
			}
			return nil
		})
	}
	return files, g.Wait()
}
