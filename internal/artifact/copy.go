package artifact

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

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
