package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"carvel.dev/imgpkg/pkg/imgpkg/lockconfig"
	vendirconf "carvel.dev/vendir/pkg/vendir/config"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"strake.dev/strake/internal/registry"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// The format of bundles: https://carvel.dev/imgpkg/docs/latest/resources/.
const (
	bundleLabel = "dev.carvel.imgpkg.bundle"
	imagesLock  = ".imgpkg/images.yml"
	// locationsTag is the tag, for a bundle's digest, of the record that imgpkg copy leaves behind.
	locationsTag = "%s-%s.image-locations.imgpkg"
)

// bundleSource is the content of an imgpkg bundle.
type bundleSource struct {
	imageRef
	recursive bool
}

func newBundle(b ImgpkgBundle, f *Fetcher) *bundleSource {
	return &bundleSource{imageRef{
		text: b.Image, selection: b.TagSelection, secretRef: b.SecretRef, patience: b.ResponseHeaderTimeout,
		skipVerify: b.DangerousSkipTLSVerify, cas: b.AdditionalCACertificates, f: f,
	}, b.Recursive}
}

func (s *bundleSource) Kind() string { return "imgpkgBundle" }

func (s *bundleSource) Stale(l schema.LockedSource) string {
	return s.stale(lockedImage{l.ImgpkgBundle.Image, l.ImgpkgBundle.Tag})
}

func (s *bundleSource) locked(l *schema.LockedSource) *lockedImage {
	if l == nil {
		return nil
	}
	return &lockedImage{l.ImgpkgBundle.Image, l.ImgpkgBundle.Tag}
}

func (s *bundleSource) Key(ctx context.Context, job *stages.Job, l *schema.LockedSource) (string, error) {
	return s.key(ctx, job, s.locked(l))
}

func (s *bundleSource) Origin(l schema.LockedSource) stages.Origin {
	return imageOrigin(s.text, l.ImgpkgBundle.Image)
}

func (s *bundleSource) Fetch(ctx context.Context, job *stages.Job, l *schema.LockedSource, a *Area) (schema.LockedSource, error) {
	var none schema.LockedSource
	c, err := s.client(ctx, job)
	if err != nil {
		return none, err
	}
	img, resolved, err := s.get(ctx, job, c, s.locked(l))
	if err != nil {
		return none, err
	}
	if is, err := isBundle(ctx, img); err != nil {
		return none, refused(ctx, s.text, s.secretRef, err)
	} else if !is {
		return none, stages.WithHint(fmt.Errorf("%s is an image, and no bundle of imgpkg", s.text), "use “image” for it")
	}
	b := &bundles{job: job, tree: a.tree, recursive: s.recursive, done: map[string]bool{}}
	if err := b.add(ctx, img, "."); err != nil {
		return none, err
	}
	return schema.LockedSource{LockDirectoryContents: vendirconf.LockDirectoryContents{ImgpkgBundle: &vendirconf.LockDirectoryContentsImgpkgBundle{Image: resolved.ref, Tag: resolved.tag}}}, nil
}

// isBundle tells by an image's configuration whether it is a bundle.
func isBundle(ctx context.Context, img *image) (bool, error) {
	config, err := img.config(ctx)
	if err != nil {
		return false, err
	}
	_, is := config.Config.Labels[bundleLabel]
	return is, nil
}

// bundles are a bundle and, with recursive, those that it lists, in the making.
type bundles struct {
	job       *stages.Job
	tree      *os.Root
	recursive bool
	// done are the digests of what was looked at already.
	done map[string]bool
}

// add unpacks a bundle into a folder of the tree.
func (b *bundles) add(ctx context.Context, img *image, dir string) error {
	to, err := b.tree.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer to.Close()
	if err := img.unpack(ctx, b.job, to); err != nil {
		return err
	}
	lock, err := readImagesLock(to)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", img.shown, imagesLock, err)
	}
	near := make([]name.Digest, len(lock.Images))
	for i, listed := range lock.Images {
		_, digest, _ := strings.Cut(listed.Image, "@")
		near[i] = img.ref.Context().Digest(digest)
	}
	all, err := allThere(ctx, img, near)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", img.shown, imagesLock, err)
	}
	if b.recursive {
		for i, listed := range lock.Images {
			at := near[i]
			if !all {
				if at, err = name.NewDigest(listed.Image); err != nil {
					return fmt.Errorf("%s: %s: %w", img.shown, imagesLock, err)
				}
			}
			if err := b.nested(ctx, img, at); err != nil {
				return err
			}
		}
	}
	if !all {
		stages.Log(b.job.Events, fmt.Sprintf("%s: images.yml stays as it is: not all images are in the bundle's repository", img.shown))
		return nil
	}
	for i := range lock.Images {
		lock.Images[i] = lockconfig.ImageRef{Image: near[i].Name(), Annotations: lock.Images[i].Annotations}
	}
	out, err := lock.AsBytes()
	if err != nil {
		return err
	}
	if err := to.Remove(imagesLock); err != nil {
		return err
	}
	return to.WriteFile(imagesLock, out, 0o644)
}

// nestedDir is where imgpkg puts the bundles that a bundle lists.
const nestedDir = ".imgpkg/bundles"

// maxNested is how many bundles a bundle may bring along.
const maxNested = 1000

// nested adds an image that a bundle lists, if it is a bundle and not there yet.
func (b *bundles) nested(ctx context.Context, parent *image, ref name.Digest) error {
	if b.done[ref.DigestStr()] {
		return nil
	}
	if len(b.done) == maxNested {
		return fmt.Errorf("%s: lists more than %d images, itself or by bundles that it lists", parent.shown, maxNested)
	}
	b.done[ref.DigestStr()] = true
	img := &image{client: parent.client, cache: parent.cache, ref: ref, shown: ref.Name()}
	if err := img.open(ctx, true); err != nil {
		if _, ok := errors.AsType[*noImageError](err); ok {
			return nil // an index of images
		}
		return refused(ctx, img.shown, nil, err)
	}
	is, err := isBundle(ctx, img)
	if err != nil {
		return refused(ctx, img.shown, nil, err)
	}
	if !is {
		return nil
	}
	dir := path.Join(nestedDir, strings.ReplaceAll(ref.DigestStr(), ":", "-"))
	if err := b.tree.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return b.add(ctx, img, dir)
}

func readImagesLock(root *os.Root) (lockconfig.ImagesLock, error) {
	text, err := root.ReadFile(imagesLock)
	if errors.Is(err, fs.ErrNotExist) {
		return lockconfig.ImagesLock{}, errors.New("the bundle lacks it")
	}
	if err != nil {
		return lockconfig.ImagesLock{}, err
	}
	return lockconfig.NewImagesLockFromBytes(text)
}

// relocatedNotes are of bundles whose images are all in their repository.
const relocatedNotes = "relocated"

// allThere tells whether all images are in the bundle's repository: imgpkg copy has left a record of
// having put them there, or each of them is found.
func allThere(ctx context.Context, bundle *image, images []name.Digest) (bool, error) {
	var known bool
	if bundle.cache.Note(relocatedNotes, bundle.ref.Name(), &known) && known {
		return true, nil
	}
	hash, err := v1.NewHash(bundle.ref.DigestStr())
	if err != nil {
		return false, err
	}
	record := bundle.ref.Context().Tag(fmt.Sprintf(locationsTag, hash.Algorithm, hash.Hex))
	there, err := isThere(ctx, bundle.client, record)
	if err != nil {
		return false, err
	}
	if !there {
		for _, image := range images {
			if ok, err := isThere(ctx, bundle.client, image); !ok || err != nil {
				return false, err
			}
		}
	}
	bundle.cache.SetNote(relocatedNotes, bundle.ref.Name(), true)
	return true, nil
}

// isThere asks for something. Registries also refuse access to what they don't have.
func isThere(ctx context.Context, c *registry.Client, ref name.Reference) (bool, error) {
	_, err := c.Head(ctx, ref)
	if err != nil && (registry.NotFound(err) || registry.Denied(err)) {
		return false, nil
	}
	return err == nil, err
}
