package artifact

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"strake.dev/strake/internal/registry"
)

// gather finds all that belongs to an artifact in a registry.
func gather(ctx context.Context, client *registry.Client, ref name.Reference, opts CopyOptions) ([]piece, error) {
	a, err := Pull(ctx, client, ref, opts.Pull)
	if err != nil {
		return nil, err
	}
	root, err := fetch(ctx, client, a.Ref, roleArtifact)
	if err != nil {
		return nil, err
	}
	if tag, ok := ref.(name.Tag); ok {
		root.tag = tag.TagStr()
	}
	pieces := []piece{root}
	if opts.Images {
		images, err := gatherImages(ctx, client, a, opts)
		if err != nil {
			return nil, err
		}
		pieces = append(pieces, images...)
	}
	return attachments(ctx, client, a.Ref.Context(), pieces, opts.Say)
}

// gatherImages finds the images that an artifact names.
func gatherImages(ctx context.Context, client *registry.Client, a *Artifact, opts CopyOptions) ([]piece, error) {
	refs, err := opts.ImageRefs(ctx, a)
	if err != nil {
		return nil, err
	}
	digests := a.Digests(refs)
	pieces := make([]piece, len(refs))
	var group errgroup.Group // without a context: layers are read with that of the fetch, after it
	group.SetLimit(atOnce)
	for n, ref := range refs {
		group.Go(func() error {
			at, err := name.ParseReference(ref)
			if err != nil {
				return fmt.Errorf("image %s: %w", ref, err)
			}
			if digest, ok := digests[ref]; ok {
				at = digest
			}
			p, err := fetch(ctx, client, at, roleImage)
			p.name = ref
			pieces[n] = p
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return pieces, nil
}

// fetch reads a manifest. What it names is read when it is copied.
func fetch(ctx context.Context, client *registry.Client, ref name.Reference, role string) (piece, error) {
	desc, err := client.Get(ctx, ref)
	if err != nil {
		return piece{}, explain(role+" "+ref.Name(), err)
	}
	p := piece{role: role, digest: desc.Digest}
	if desc.MediaType.IsIndex() {
		p.content, err = desc.ImageIndex()
	} else {
		p.content, err = desc.Image()
	}
	return p, err
}

// attachments adds the signatures and referrers of pieces, those of images from where the images are.
func attachments(ctx context.Context, client *registry.Client, home name.Repository, pieces []piece, say func(string)) ([]piece, error) {
	var (
		mu    sync.Mutex
		found []piece
		group errgroup.Group
	)
	group.SetLimit(atOnce)
	for _, p := range pieces {
		group.Go(func() error {
			repo := home
			if p.role == roleImage {
				ref, err := name.ParseReference(p.name)
				if err != nil {
					return err
				}
				repo = ref.Context()
			}
			more, err := attachedTo(ctx, client, repo, p.digest)
			if err != nil && p.role == roleImage && ctx.Err() == nil {
				// It may be from a mirror of a registry that can't be reached.
				say("warning: whether image " + p.name + " is signed isn't known: " + registry.Reason(err))
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			found = append(found, more...)
			return err
		})
	}
	err := group.Wait()
	slices.SortFunc(found, func(a, b piece) int {
		return strings.Compare(a.role+a.tag+a.digest.String(), b.role+b.tag+b.digest.String())
	})
	found = slices.CompactFunc(found, func(a, b piece) bool { return a.role == b.role && a.digest == b.digest && a.tag == b.tag })
	return append(pieces, found...), err
}

// attachedTo finds the signatures and referrers of a manifest.
func attachedTo(ctx context.Context, client *registry.Client, repo name.Repository, digest v1.Hash) ([]piece, error) {
	var found []piece
	tag := repo.Tag(digest.Algorithm + "-" + digest.Hex + ".sig")
	switch p, err := fetch(ctx, client, tag, roleSignature); {
	case err == nil:
		p.tag = tag.TagStr()
		found = append(found, p)
	case !registry.NotFound(err):
		return nil, err
	}
	referrers, err := client.Referrers(ctx, repo.Digest(digest.String()))
	if err != nil {
		return nil, explain("referrers of "+repo.Digest(digest.String()).Name(), err)
	}
	const many = 1000
	if len(referrers) > many {
		return nil, fmt.Errorf("%s@%s has %d referrers, expected %d at most", repo.Name(), digest, len(referrers), many)
	}
	for _, r := range referrers {
		p, err := fetch(ctx, client, repo.Digest(r.Digest.String()), roleReferrer)
		if err != nil {
			return nil, err
		}
		found = append(found, p)
	}
	return found, nil
}
