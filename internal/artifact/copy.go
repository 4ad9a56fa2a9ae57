package artifact

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"

	"strake.dev/strake/internal/registry"
	"strake.dev/strake/stages"
)

// The roles of what is copied.
const (
	roleArtifact  = "artifact"
	roleImage     = "image"
	roleSignature = "signature"
	roleReferrer  = "referrer"
)

// A piece is one manifest to copy, with all that it names.
type piece struct {
	role string
	// name is what an image is called by the manifests.
	name string
	// tag is that of an artifact or a signature; empty for what is known by its digest only.
	tag     string
	digest  v1.Hash
	content remote.Taggable
}

// CopyOptions say what is copied.
type CopyOptions struct {
	// Images copies the images that the artifact names, too.
	Images bool
	// ImageRefs returns the images that an artifact names.
	ImageRefs func(context.Context, *Artifact) ([]string, error)
	// Pull says how the artifact is read and verified.
	Pull Options
	// Say is told what is being copied.
	Say func(string)
}

// Copied tells what a copy has led to.
type Copied struct {
	// Digest is the artifact's, which a copy doesn't change.
	Digest string `json:"digest"`
	// Images, Signatures and Referrers are their numbers.
	Images     int `json:"images"`
	Signatures int `json:"signatures"`
	Referrers  int `json:"referrers"`
}

// atOnce is how many manifests are read or written at the same time.
const atOnce = 4

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

// count tells how many pieces there are of each role.
func count(pieces []piece) Copied {
	var c Copied
	for _, p := range pieces {
		switch p.role {
		case roleArtifact:
			c.Digest = p.digest.String()
		case roleImage:
			c.Images++
		case roleSignature:
			c.Signatures++
		case roleReferrer:
			c.Referrers++
		}
	}
	return c
}

// upload puts pieces into a repository. What others belong to is there before them, and the artifact has
// its tag last, when all that belongs to it is there.
func upload(ctx context.Context, client *registry.Client, repo name.Repository, tag string, pieces []piece, say func(string)) error {
	for _, step := range []struct {
		role, tag string
		atOnce    int
	}{
		{roleImage, "", atOnce},
		{roleArtifact, "", atOnce},
		{roleSignature, "", atOnce},
		// One after the other, as they share a tag where a registry keeps no account of them.
		{roleReferrer, "", 1},
		{roleArtifact, tag, atOnce},
	} {
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(step.atOnce)
		for _, p := range pieces {
			if p.role == step.role {
				group.Go(func() error { return p.upload(ctx, client, repo, step.tag, say) })
			}
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
	return nil
}

// upload puts a piece into a repository, under a tag if it is given one.
func (p piece) upload(ctx context.Context, client *registry.Client, repo name.Repository, tag string, say func(string)) (err error) {
	var to name.Reference = repo.Digest(p.digest.String())
	switch {
	case p.role == roleSignature:
		signatures := repo.Tag(p.tag)
		to = signatures
		if p.content, err = withOthers(ctx, client, signatures, p); err != nil {
			return err
		}
	case p.role == roleImage:
		say("copying image " + p.name)
	case tag != "":
		to = repo.Tag(tag)
		say("copying to " + to.Name())
	}
	if err := client.Push(ctx, to, p.content); err != nil {
		return explain(p.role+" "+to.Name(), err)
	}
	return nil
}

// errNoArtifact says that a layout doesn't tell which of its manifests is the artifact.
var errNoArtifact = errors.New("expected one artifact")

// rootOf is the artifact among pieces.
func rootOf(pieces []piece) (piece, error) {
	n := slices.IndexFunc(pieces, func(p piece) bool { return p.role == roleArtifact })
	if n < 0 {
		return piece{}, errNoArtifact
	}
	return pieces[n], nil
}

// A Location is where an artifact is copied from or to: a repository, an OCI layout, or an archive of one.
type Location struct {
	// Ref is that of a repository; with Tagged, its tag or digest was given.
	Ref    name.Reference
	Tagged bool
	// Layout is a folder, Archive a file; at most one of them is set.
	Layout, Archive string
}

// ParseLocation reads oci://HOST/REPOSITORY:TAG, layout:FOLDER or archive:FILE.
func ParseLocation(text string) (Location, error) {
	if folder, ok := strings.CutPrefix(text, "layout:"); ok && folder != "" {
		return Location{Layout: folder}, nil
	}
	if file, ok := strings.CutPrefix(text, "archive:"); ok && file != "" {
		return Location{Archive: file}, nil
	}
	if !strings.HasPrefix(text, scheme) {
		return Location{}, stages.WithHint(fmt.Errorf("%q is no place for an artifact", text), "expected oci://HOST/REPOSITORY:TAG, layout:FOLDER or archive:FILE")
	}
	ref, err := ParseURL(text)
	if err != nil {
		return Location{}, err
	}
	last := text[strings.LastIndex(text, "/"):]
	return Location{Ref: ref, Tagged: strings.ContainsAny(last, ":@")}, nil
}

// Copy copies an artifact with its signatures and referrers, and with its images if that is asked for.
func Copy(ctx context.Context, client *registry.Client, from, to Location, opts CopyOptions) (copied Copied, err error) {
	var pieces []piece
	switch {
	case from.Ref != nil:
		pieces, err = gather(ctx, client, from.Ref, opts)
	default:
		var done func() error
		pieces, done, err = load(ctx, from)
		if err == nil {
			defer func() { err = errors.Join(err, done()) }()
		}
	}
	if err != nil {
		return Copied{}, err
	}
	root, err := rootOf(pieces)
	if err != nil {
		return Copied{}, err
	}
	copied = count(pieces)
	if to.Ref == nil {
		return copied, save(ctx, to, pieces)
	}
	tag := root.tag
	if to.Tagged {
		named, ok := to.Ref.(name.Tag)
		if !ok {
			return Copied{}, fmt.Errorf("%s: expected a tag, found a digest", URL(to.Ref))
		}
		tag = named.TagStr()
	}
	return copied, upload(ctx, client, to.Ref.Context(), tag, pieces, opts.Say)
}
