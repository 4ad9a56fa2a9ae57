package kbld

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"carvel.dev/imgpkg/pkg/imgpkg/lockconfig"
	kbldconfig "carvel.dev/kbld/pkg/kbld/config"
	kbldversion "carvel.dev/kbld/pkg/kbld/version"
)

// A Record holds what references became, for lock files in the forms that kbld writes. The zero value
// is empty. It is safe for concurrent use.
type Record struct {
	mu     sync.Mutex
	images map[string]image
	rules  []kbldconfig.SearchRule
}

// A Final is a reference of the manifests, and what it became.
type Final struct{ From, To string }

func (r *Record) add(conf kbldconfig.Conf, images map[string]image) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.images == nil {
		r.images = map[string]image{}
	}
	maps.Copy(r.images, images)
	r.rules = append(r.rules, conf.SearchRulesWithoutDefaults()...)
}

// Images lists what references became, sorted by reference.
func (r *Record) Images() []Final {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []Final
	for _, ref := range slices.Sorted(maps.Keys(r.images)) {
		list = append(list, Final{ref, r.images[ref].url})
	}
	return list
}

// LockConfig is what kbld's --lock-output writes: a Config that makes of every reference what it has
// become, and that has the search rules of the configuration.
func (r *Record) LockConfig() ([]byte, error) {
	c := kbldconfig.NewConfig()
	// A program that wasn't told at link time knows the version in a form that kbld doesn't read.
	c.MinimumRequiredVersion = strings.TrimPrefix(kbldversion.Version, "v")
	for _, i := range r.Images() {
		c.Overrides = append(c.Overrides, kbldconfig.ImageOverride{
			ImageRef: kbldconfig.ImageRef{Image: i.From}, NewImage: i.To, Preresolved: true,
		})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c.SearchRules = r.rules
	return c.AsBytes()
}

// ImagesLock is what kbld's --imgpkg-lock-output writes: imgpkg's list of images, each with the
// reference that it replaces and, if asked, its origins. It fails when an image has no digest.
func (r *Record) ImagesLock(origins bool) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	lock := lockconfig.NewEmptyImagesLock()
	for _, ref := range slices.Sorted(maps.Keys(r.images)) {
		i := r.images[ref]
		notes := map[string]string{kbldconfig.ImagesLockKbldID: ref}
		if text := originsYAML(i.origins); origins && text != nil {
			notes[kbldconfig.ImagesLockKbldOrigins] = string(text)
		}
		lock.Images = append(lock.Images, lockconfig.ImageRef{Image: i.url, Annotations: notes})
	}
	return lock.AsBytes()
}
