package artifact

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"strake.dev/strake/internal/registry"
)

// Pushed tells what a push has led to.
type Pushed struct {
	// Ref is the artifact by its digest.
	Ref name.Digest
	// Unchanged tells that every tag named it before.
	Unchanged bool
}

// Push lets tags of one repository name an artifact, and uploads what the repository doesn't have of it. If
// they do already, nothing is uploaded.
func Push(ctx context.Context, client *registry.Client, image v1.Image, tags ...name.Tag) (Pushed, error) {
	return PushWith(ctx, client, image, nil, tags...)
}

// PushWith is Push for an artifact to which something belongs, such as signatures: attach is called when
// the artifact is there and no tag names it yet, so that nobody finds it without. It is called also for an
// artifact that was there before.
func PushWith(ctx context.Context, client *registry.Client, image v1.Image, attach func(context.Context, name.Digest) error, tags ...name.Tag) (Pushed, error) {
	digest, err := image.Digest()
	if err != nil {
		return Pushed{}, err
	}
	pushed := Pushed{Ref: tags[0].Context().Digest(digest.String()), Unchanged: true}
	if attach != nil {
		if err := client.Push(ctx, pushed.Ref, image); err != nil {
			return Pushed{}, explain(URL(pushed.Ref), err)
		}
		if err := attach(ctx, pushed.Ref); err != nil {
			return Pushed{}, err
		}
	}
	for _, tag := range tags {
		desc, err := client.Head(ctx, tag)
		if err == nil && desc.Digest == digest {
			continue
		}
		if err != nil && !registry.NotFound(err) && !registry.Denied(err) {
			return Pushed{}, explain(URL(tag), err)
		}
		pushed.Unchanged = false
		if err := client.Push(ctx, tag, image); err != nil {
			return Pushed{}, explain(URL(tag), err)
		}
	}
	return pushed, nil
}

// Tag lets further tags name an artifact. The tag that it is known by is resolved once. With keep, a tag
// that names something else already is an error.
func Tag(ctx context.Context, client *registry.Client, ref name.Reference, keep bool, tags ...string) (name.Digest, error) {
	desc, err := client.Get(ctx, ref)
	if err != nil {
		return name.Digest{}, explain(URL(ref), err)
	}
	digest := ref.Context().Digest(desc.Digest.String())
	var to []name.Tag
	for _, text := range tags {
		tag, err := name.NewTag(ref.Context().Name() + ":" + text)
		if err != nil {
			return digest, fmt.Errorf("tag %q: %w", text, err)
		}
		to = append(to, tag)
		if !keep {
			continue
		}
		if there, err := client.Head(ctx, tag); err == nil && there.Digest != desc.Digest {
			return digest, fmt.Errorf("%s names %s already", URL(tag), there.Digest)
		} else if err != nil && !registry.NotFound(err) {
			return digest, explain(URL(tag), err)
		}
	}
	for _, tag := range to {
		if err := client.Push(ctx, tag, desc); err != nil {
			return digest, explain(URL(tag), err)
		}
	}
	return digest, nil
}
