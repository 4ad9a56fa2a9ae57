package vendir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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
type bundleSource struct{ imageRef }

func newBundle(b ImgpkgBundle, reg *registry.Client) *bundleSource {
	return &bundleSource{imageRef{text: b.Image, selection: b.TagSelection, secretRef: b.SecretRef, general: reg}}
}

func (s *bundleSource) kind() string    { return "imgpkgBundle" }
func (s *bundleSource) subPath() string { return "" }

func (s *bundleSource) stale(l schema.LockedSource) string {
	return s.imageRef.stale(lockedImage{l.ImgpkgBundle.Image, l.ImgpkgBundle.Tag})
}

func (s *bundleSource) locked(l *schema.LockedSource) *lockedImage {
	if l == nil {
		return nil
	}
	return &lockedImage{l.ImgpkgBundle.Image, l.ImgpkgBundle.Tag}
}

func (s *bundleSource) key(ctx context.Context, job *stages.Job, l *schema.LockedSource) (string, error) {
	return s.imageRef.key(ctx, job, s.locked(l))
}

func (s *bundleSource) fetch(ctx context.Context, job *stages.Job, l *schema.LockedSource, a *area) (schema.LockedSource, error) {
	var none schema.LockedSource
	c, err := s.client(ctx, job)
	if err != nil {
		return none, err
	}
	img, resolved, err := s.get(ctx, job, c, s.locked(l))
	if err != nil {
		return none, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return none, refused(ctx, s.text, s.secretRef, err)
	}
	if _, ok := config.Config.Labels[bundleLabel]; !ok {
		return none, stages.WithHint(fmt.Errorf("%s is an image, and no bundle of imgpkg", s.text), "use “image” for it")
	}
	if err := unpackImage(ctx, job, s.text, img, a); err != nil {
		return none, err
	}
	if err := s.relocate(ctx, job, c, resolved.ref, a); err != nil {
		return none, fmt.Errorf("%s: %s: %w", s.text, imagesLock, err)
	}
	return schema.LockedSource{ImgpkgBundle: &vendirconf.LockDirectoryContentsImgpkgBundle{Image: resolved.ref, Tag: resolved.tag}}, nil
}

// relocate lets the bundle's images.yml name the images in the bundle's own repository, if all of
// them are there.
func (s *bundleSource) relocate(ctx context.Context, job *stages.Job, c *registry.Client, bundle string, a *area) error {
	text, err := a.tree.ReadFile(imagesLock)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("the bundle lacks it")
	}
	if err != nil {
		return err
	}
	lock, err := lockconfig.NewImagesLockFromBytes(text)
	if err != nil {
		return err
	}
	ref, err := name.NewDigest(bundle)
	if err != nil {
		return err
	}
	near := make([]name.Digest, len(lock.Images))
	for i, image := range lock.Images {
		_, digest, _ := strings.Cut(image.Image, "@")
		near[i] = ref.Context().Digest(digest)
	}
	all, err := allThere(ctx, c, ref, near)
	if err != nil {
		return err
	}
	if !all {
		stages.Log(job.Events, fmt.Sprintf("%s: images.yml stays as it is: not all images are in the bundle's repository", s.text))
		return nil
	}
	for i := range lock.Images {
		lock.Images[i] = lockconfig.ImageRef{Image: near[i].Name(), Annotations: lock.Images[i].Annotations}
	}
	out, err := lock.AsBytes()
	if err != nil {
		return err
	}
	if err := a.tree.Remove(imagesLock); err != nil {
		return err
	}
	return a.tree.WriteFile(imagesLock, out, 0o644)
}

// allThere tells whether all images are in the bundle's repository: imgpkg copy has left a record of
// having put them there, or each of them is found.
func allThere(ctx context.Context, c *registry.Client, bundle name.Digest, images []name.Digest) (bool, error) {
	hash, err := v1.NewHash(bundle.DigestStr())
	if err != nil {
		return false, err
	}
	record := bundle.Context().Tag(fmt.Sprintf(locationsTag, hash.Algorithm, hash.Hex))
	if there, err := isThere(ctx, c, record); there || err != nil {
		return there, err
	}
	for _, image := range images {
		if there, err := isThere(ctx, c, image); !there || err != nil {
			return false, err
		}
	}
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
