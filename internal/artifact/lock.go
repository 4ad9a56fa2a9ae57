package artifact

import (
	"fmt"
	"slices"
	"strings"

	"carvel.dev/imgpkg/pkg/imgpkg/lockconfig"
	"github.com/google/go-containerregistry/pkg/name"
	"sigs.k8s.io/yaml"

	"strake.dev/strake/schema"
)

// lockOf is the text of an ImagesLock.
func lockOf(images []schema.LockedImage) ([]byte, error) {
	images = slices.Clone(images)
	slices.SortFunc(images, func(a, b schema.LockedImage) int {
		return strings.Compare(a.Annotations[schema.AnnotationImageID]+a.Image, b.Annotations[schema.AnnotationImageID]+b.Image)
	})
	lock := lockconfig.NewEmptyImagesLock()
	lock.Images = images
	return yaml.Marshal(lock)
}

// readLock reads an ImagesLock.
func readLock(text []byte) ([]schema.LockedImage, error) {
	var lock lockconfig.ImagesLock
	if err := yaml.UnmarshalStrict(text, &lock); err != nil {
		return nil, fmt.Errorf("images lock: %w", err)
	}
	for _, i := range lock.Images {
		if _, err := name.NewDigest(i.Image); err != nil {
			return nil, fmt.Errorf("images lock: %w", err)
		}
	}
	return lock.Images, nil
}

// Locked are the images of references that name a digest, in the form of a lock. What is known of them
// already, such as how they were built, is kept.
func Locked(refs []string, known ...schema.LockedImage) []schema.LockedImage {
	var images []schema.LockedImage
	for _, ref := range refs {
		digest, err := name.NewDigest(ref)
		if err != nil {
			continue
		}
		image := schema.LockedImage{Image: digest.Context().Name() + "@" + digest.DigestStr(), Annotations: map[string]string{schema.AnnotationImageID: ref}}
		if at := slices.IndexFunc(known, func(k schema.LockedImage) bool { return k.Image == image.Image }); at >= 0 {
			image = known[at]
		}
		images = append(images, image)
	}
	return images
}
