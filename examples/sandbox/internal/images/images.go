// Package images makes the base images that the sandbox's registry serves in the place of Docker
// Hub's, out of what this machine has, so that nothing needs to be pulled.
package images

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/errgroup"
)

// A Recipe tells how an image is made and what it is called.
type Recipe struct {
	Repository string
	Tags       []string
	// Key names the result: recipes with an equal repository and key make equal images.
	Key    string
	config v1.Config
	// layers are added one on the other.
	layers []func(*layer)
}

// Get returns the recipe's image from the cache folder, making it there if it must.
func (r *Recipe) Get(cache string) (v1.Image, error) {
	dir := filepath.Join(cache, filepath.Base(r.Repository)+"-"+r.Key)
	if image, err := read(dir); err == nil {
		return image, nil
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return nil, fmt.Errorf("make image cache: %w", err)
	}
	tmp, err := os.MkdirTemp(cache, ".making-*")
	if err != nil {
		return nil, fmt.Errorf("make image cache: %w", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	image, err := r.make(tmp)
	if err != nil {
		return nil, fmt.Errorf("make image %s: %w", r.Repository, err)
	}
	path := filepath.Join(tmp, "layout")
	store, err := layout.Write(path, empty.Index)
	if err == nil {
		err = store.AppendImage(image)
	}
	if err != nil {
		return nil, fmt.Errorf("keep image %s: %w", r.Repository, err)
	}
	// Another call may have made the same image meanwhile; either will do. One that can't be read is
	// replaced.
	if _, err := read(dir); err != nil {
		if err := errors.Join(os.RemoveAll(dir), os.Rename(path, dir)); err != nil {
			return nil, fmt.Errorf("keep image %s: %w", r.Repository, err)
		}
	}
	return read(dir)
}

// read returns the one image of an OCI layout.
func read(dir string) (v1.Image, error) {
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	if len(manifest.Manifests) != 1 {
		return nil, fmt.Errorf("%s holds %d images, not one", dir, len(manifest.Manifests))
	}
	return index.Image(manifest.Manifests[0].Digest)
}

// make writes the layers below tmp and puts them together.
func (r *Recipe) make(tmp string) (v1.Image, error) {
	image, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		OS:           "linux",
		Architecture: runtime.GOARCH,
		Config:       r.config,
		RootFS:       v1.RootFS{Type: "layers"},
	})
	if err != nil {
		return nil, err
	}
	for _, fill := range r.layers {
		writer, err := newLayer(tmp)
		if err != nil {
			return nil, err
		}
		fill(writer)
		content, err := writer.close()
		if err != nil {
			return nil, err
		}
		if image, err = mutate.AppendLayers(image, content); err != nil {
			return nil, err
		}
	}
	return image, nil
}

// Seed makes sure that the registry at an address has every recipe's image under each of its tags.
func Seed(ctx context.Context, registry, cache string, recipes []*Recipe) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, recipe := range recipes {
		group.Go(func() error {
			image, err := recipe.Get(cache)
			if err != nil {
				return err
			}
			if err := recipe.push(ctx, registry, image); err != nil {
				return fmt.Errorf("push image %s: %w", recipe.Repository, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// push sends the image under the tags that don't lead to it yet.
func (r *Recipe) push(ctx context.Context, registry string, image v1.Image) error {
	want, err := image.Digest()
	if err != nil {
		return err
	}
	for _, tag := range r.Tags {
		ref, err := name.NewTag(registry+"/"+r.Repository+":"+tag, name.Insecure)
		if err != nil {
			return err
		}
		has, err := remote.Head(ref, remote.WithContext(ctx))
		if err == nil && has.Digest == want {
			continue
		}
		if err != nil && !notFound(err) {
			return err
		}
		// Layers that are there already are not sent again.
		if err := remote.Write(ref, image, remote.WithContext(ctx)); err != nil {
			return err
		}
	}
	return nil
}

func notFound(err error) bool {
	var answer *transport.Error
	return errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound
}
