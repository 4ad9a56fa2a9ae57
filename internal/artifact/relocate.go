package artifact

import (
	"context"
	"fmt"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	"golang.org/x/sync/errgroup"

	"strake.dev/strake/internal/registry"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// Digests are the digests of images that manifests name: those that the references have, and those of the
// artifact's lock. Images without either have none.
func (a *Artifact) Digests(refs []string) map[string]name.Digest {
	found := map[string]name.Digest{}
	for _, i := range a.Images {
		if digest, err := name.NewDigest(i.Image); err == nil {
			found[i.Annotations[schema.AnnotationImageID]] = digest
			found[i.Image] = digest
		}
	}
	digests := map[string]name.Digest{}
	for _, ref := range refs {
		if digest, err := name.NewDigest(ref); err == nil {
			digests[ref] = digest
		} else if digest, ok := found[ref]; ok {
			digests[ref] = digest
		}
	}
	return digests
}

// Relocated are the images of references in the artifact's own repository, where they have to be. What an
// image is doesn't change: the digest stays.
func (a *Artifact) Relocated(ctx context.Context, client *registry.Client, refs []string) (map[string]string, error) {
	digests := a.Digests(refs)
	var (
		mu    sync.Mutex
		moved = map[string]string{}
	)
	group, ctx := errgroup.WithContext(ctx)
	const atOnce = 16
	group.SetLimit(atOnce)
	for _, ref := range refs {
		digest, ok := digests[ref]
		if !ok {
			return nil, stages.WithHint(fmt.Errorf("%s: image %s has no digest, so that it isn't known which one it was", a.URL, ref), "push the artifact with --lock-images, or from an App")
		}
		group.Go(func() error {
			here := a.Ref.Context().Digest(digest.DigestStr())
			if _, err := client.Head(ctx, here); err != nil {
				if registry.NotFound(err) {
					return stages.WithHint(fmt.Errorf("%s: image %s isn't in the artifact's repository", a.URL, ref), "bring it there with strake artifact copy --images")
				}
				return fmt.Errorf("%s: image %s: %w", a.URL, ref, err)
			}
			mu.Lock()
			defer mu.Unlock()
			moved[ref] = here.Name()
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return moved, nil
}
