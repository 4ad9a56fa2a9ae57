package source

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"
	versions "carvel.dev/vendir/pkg/vendir/versions/v1alpha1"
	"github.com/google/go-containerregistry/pkg/name"

	"strake.dev/strake/internal/registry"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// An imageRef is what image and imgpkgBundle sources have in common: a reference to something in a
// registry, and how to get at it.
type imageRef struct {
	// text is the reference as it is written; with a selection, it is a repository.
	text      string
	selection *versions.VersionSelection
	secretRef *schema.LocalRef
	// patience is how many seconds the registry may take to answer; 0 is the client's own.
	patience   int
	skipVerify bool
	// cas are PEM files; relative paths count from the App's file.
	cas []string
	f   *Fetcher
}

// A lockedImage is a digest and the tag that it was found under, as both kinds of lock entry have it.
type lockedImage struct{ ref, tag string }

// A resolvedImage is a reference that can be fetched.
type resolvedImage struct {
	ref name.Reference
	// tag is the tag that was written or selected; it may be empty.
	tag string
}

func (i *imageRef) Check(ctx context.Context, job *stages.Job) error {
	_, err := i.client(ctx, job)
	return err
}

func (i *imageRef) client(ctx context.Context, job *stages.Job) (*registry.Client, error) {
	repo, err := i.repository()
	if err != nil {
		return nil, err
	}
	general := i.f.deps.Registry
	if i.patience > 0 || i.skipVerify || len(i.cas) > 0 {
		general, err = general.With(func(o *registry.Options) {
			o.SkipVerify = o.SkipVerify || i.skipVerify
			if i.patience > 0 {
				o.Silence = time.Duration(i.patience) * time.Second
			}
			for _, file := range i.cas {
				if !filepath.IsAbs(file) {
					file = filepath.Join(job.Dir, filepath.FromSlash(file))
				}
				o.CAs = append(slices.Clip(o.CAs), file)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return clientFor(ctx, job, general, i.secretRef, repo)
}

func (i *imageRef) repository() (name.Repository, error) {
	if i.selection != nil {
		return name.NewRepository(i.text)
	}
	ref, err := name.ParseReference(i.text)
	if err != nil {
		return name.Repository{}, err
	}
	return ref.Context(), nil
}

// tagOf is the tag that a reference is written with; it may be empty.
func tagOf(text string) string {
	text, _, _ = strings.Cut(text, "@")
	_, tag, _ := strings.Cut(text[strings.LastIndex(text, "/")+1:], ":")
	return tag
}

// stale says why a lock entry isn't for this reference, or "".
func (i *imageRef) stale(l lockedImage) string {
	locked, err := name.NewDigest(l.ref)
	if err != nil {
		return fmt.Sprintf("has no digest in the lock file, but %q", l.ref)
	}
	repo, err := i.repository()
	switch {
	case err != nil || repo.Name() != locked.Context().Name():
		return fmt.Sprintf("is %s, but the lock file has %s", i.text, l.ref)
	case i.selection != nil:
		if !allows(*i.selection, l.tag) {
			return fmt.Sprintf("selects %s, but the lock file has the tag %q", i.selection.Description(), l.tag)
		}
		return ""
	}
	if d, err := name.NewDigest(i.text); err == nil && d.DigestStr() != locked.DigestStr() {
		return fmt.Sprintf("is %s, but the lock file has %s", d.DigestStr(), locked.DigestStr())
	}
	if tag := tagOf(i.text); tag != l.tag {
		return fmt.Sprintf("has the tag %q, but the lock file has the tag %q", tag, l.tag)
	}
	return ""
}

// resolve chooses what to fetch: the locked digest, the selected tag, or what is written.
func (i *imageRef) resolve(ctx context.Context, job *stages.Job, c *registry.Client, locked *lockedImage) (resolvedImage, error) {
	if locked != nil {
		d, err := name.NewDigest(locked.ref)
		return resolvedImage{ref: d, tag: locked.tag}, err
	}
	if i.selection == nil {
		ref, err := name.ParseReference(i.text)
		return resolvedImage{ref: ref, tag: tagOf(i.text)}, err
	}
	repo, err := name.NewRepository(i.text)
	if err != nil {
		return resolvedImage{}, err
	}
	asked, err := i.question(ctx, job, "tags", repo.Name())
	if err != nil {
		return resolvedImage{}, err
	}
	tags, err := once(ctx, &i.f.memo, job.Began, asked, func() ([]string, error) { return c.List(ctx, repo) })
	if err != nil {
		return resolvedImage{}, refused(ctx, i.text, i.secretRef, err)
	}
	tag, err := choose(tags, *i.selection)
	if err != nil {
		return resolvedImage{}, fmt.Errorf("tagSelection: %s: %w", i.text, err)
	}
	return resolvedImage{ref: repo.Tag(tag), tag: tag}, nil
}

// key is the digest that the reference has now, and the tag.
func (i *imageRef) key(ctx context.Context, job *stages.Job, locked *lockedImage) (string, error) {
	c, err := i.client(ctx, job)
	if err != nil {
		return "", err
	}
	r, err := i.resolve(ctx, job, c, locked)
	if err != nil {
		return "", err
	}
	digest, ok := r.ref.(name.Digest)
	if !ok {
		if digest, err = i.digest(ctx, job, c, r.ref); err != nil {
			return "", err
		}
	}
	return r.tag + "@" + digest.DigestStr(), nil
}

// question names something that the registry is asked for. Whom a source trusts is part of it.
func (i *imageRef) question(ctx context.Context, job *stages.Job, parts ...string) (string, error) {
	return question(ctx, job, i.secretRef, slices.Concat(parts, []string{trust(i.skipVerify)}, i.cas)...)
}

// digest asks what a reference points to now.
func (i *imageRef) digest(ctx context.Context, job *stages.Job, c *registry.Client, ref name.Reference) (name.Digest, error) {
	asked, err := i.question(ctx, job, "image", ref.Name())
	if err != nil {
		return name.Digest{}, err
	}
	return once(ctx, &i.f.memo, job.Began, asked, func() (name.Digest, error) {
		digest, err := digestOf(ctx, c, ref)
		if err != nil {
			err = refused(ctx, i.text, i.secretRef, err)
		}
		return digest, err
	})
}

// digestOf asks what a reference points to. An answer to HEAD has no words, so that a refusal is asked for again.
func digestOf(ctx context.Context, c *registry.Client, ref name.Reference) (name.Digest, error) {
	desc, err := c.Head(ctx, ref)
	if err != nil && (registry.NotFound(err) || registry.Denied(err)) {
		got, gerr := c.Get(ctx, ref)
		if gerr != nil {
			return name.Digest{}, gerr
		}
		desc, err = &got.Descriptor, nil
	}
	if err != nil {
		return name.Digest{}, err
	}
	return ref.Context().Digest(desc.Digest.String()), nil
}

// get asks for the image, and returns it with the reference by digest for the lock.
func (i *imageRef) get(ctx context.Context, job *stages.Job, c *registry.Client, locked *lockedImage) (*image, lockedImage, error) {
	fail := func(err error) (*image, lockedImage, error) { return nil, lockedImage{}, err }
	r, err := i.resolve(ctx, job, c, locked)
	if err != nil {
		return fail(err)
	}
	digest, pinned := r.ref.(name.Digest)
	if !pinned {
		if digest, err = i.digest(ctx, job, c, r.ref); err != nil {
			return fail(err)
		}
	}
	img := &image{client: c, cache: i.f.deps.Cache, ref: digest, shown: i.text}
	err = img.open(ctx, pinned)
	if locked != nil && err != nil && registry.NotFound(err) {
		return fail(stale(job, fmt.Sprintf("is %s in the lock file, which the registry no longer has", locked.ref)))
	}
	if err != nil {
		return fail(refused(ctx, i.text, i.secretRef, err))
	}
	resolved := lockedImage{ref: digest.Context().Name() + "@" + digest.DigestStr(), tag: r.tag}
	stages.Log(job.Events, fmt.Sprintf("%s: %s", i.text, resolved.ref))
	return img, resolved, nil
}

// refused explains an error of a registry.
func refused(ctx context.Context, what string, secretRef *schema.LocalRef, err error) error {
	if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		err = ctx.Err()
	}
	err = fmt.Errorf("%s: %w", what, err)
	switch {
	case registry.NotFound(err):
		return stages.WithHint(err, "check repository, tag and digest")
	case registry.Denied(err) && secretRef != nil:
		return stages.WithHint(err, "the registry refused the credentials of the secretRef, or the repository isn't there")
	case registry.Denied(err):
		return stages.WithHint(err, "sign in (docker login), or give a secretRef; some registries answer so too where the repository isn't there")
	}
	return err
}

// imageSource is the content of an image.
type imageSource struct{ imageRef }

func newImage(i Image, f *Fetcher) *imageSource {
	return &imageSource{imageRef{
		text: i.URL, selection: i.TagSelection, secretRef: i.SecretRef, patience: i.ResponseHeaderTimeout, skipVerify: i.DangerousSkipTLSVerify, f: f,
	}}
}

func (s *imageSource) Kind() string { return "image" }

func (s *imageSource) Stale(l schema.LockedSource) string {
	return s.stale(lockedImage{l.Image.URL, l.Image.Tag})
}

func (s *imageSource) locked(l *schema.LockedSource) *lockedImage {
	if l == nil {
		return nil
	}
	return &lockedImage{l.Image.URL, l.Image.Tag}
}

func (s *imageSource) Key(ctx context.Context, job *stages.Job, l *schema.LockedSource) (string, error) {
	return s.key(ctx, job, s.locked(l))
}

func (s *imageSource) Fetch(ctx context.Context, job *stages.Job, l *schema.LockedSource, a *Area) (schema.LockedSource, error) {
	c, err := s.client(ctx, job)
	if err != nil {
		return schema.LockedSource{}, err
	}
	img, resolved, err := s.get(ctx, job, c, s.locked(l))
	if err != nil {
		return schema.LockedSource{}, err
	}
	if err := img.unpack(ctx, job, a.tree); err != nil {
		return schema.LockedSource{}, err
	}
	return schema.LockedSource{LockDirectoryContents: vendirconf.LockDirectoryContents{Image: &vendirconf.LockDirectoryContentsImage{URL: resolved.ref, Tag: resolved.tag}}}, nil
}

func (s *imageSource) Origin(l schema.LockedSource) stages.Origin {
	return imageOrigin(s.text, l.Image.URL)
}

func imageOrigin(ref, resolved string) stages.Origin {
	_, digest, _ := strings.Cut(resolved, "@")
	name, _, _ := strings.Cut(ref, "@")
	return stages.Origin{Source: name, Revision: digest}
}
