package kbld

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	kbldconfig "carvel.dev/kbld/pkg/kbld/config"
	"github.com/google/go-containerregistry/pkg/name"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

func stale(ref, format string, args ...any) error {
	return &stages.LockError{Entry: "image " + ref, Reason: fmt.Sprintf(format, args...)}
}

// fromLock takes a reference that isn't built from an enforced lock, without asking a registry. An
// entry that was made for something else is a [stages.LockError].
func (w want) fromLock(entry schema.LockedImage) (image, error) {
	i := image{url: entry.Image, action: actionLocked}
	var err error
	if i.origins, err = kbldconfig.NewOriginsFromString(entry.Annotations[schema.AnnotationImageOrigins]); err != nil {
		return i, stale(w.ref, "has origins in the lock file that can't be read: %v", err)
	}
	if w.fixed != nil && w.platform == nil {
		if w.fixed.url != entry.Image {
			return i, stale(w.ref, "is %s, but the lock file has %s", w.fixed.url, entry.Image)
		}
		i.action, i.origins = actionKept, w.fixed.origins
		return i, nil
	}
	locked, err := name.NewDigest(entry.Image)
	if err != nil {
		return i, stale(w.ref, "has no digest in the lock file: %s", entry.Image)
	}
	ref, err := name.ParseReference(w.url)
	if err != nil {
		return i, err
	}
	if locked.Context().Name() != ref.Context().Name() {
		return i, stale(w.ref, "is an image of %s, but the lock file has %s", ref.Context().Name(), entry.Image)
	}
	return i, w.sameOrigins(i.origins)
}

// sameOrigins checks that a locked image came about in the way that is asked for now.
func (w want) sameOrigins(origins []kbldconfig.Origin) error {
	var platform *kbldconfig.OriginPlatformSelected
	for _, o := range origins {
		if platform == nil {
			platform = o.PlatformSelected
		}
		if o.Resolved == nil {
			continue
		}
		same := o.Resolved.URL == w.url
		if w.tags != nil {
			same = strings.HasPrefix(o.Resolved.URL, w.url+":")
		}
		if !same {
			return stale(w.ref, "is resolved from %s, but was from %s in the lock file", w.url, o.Resolved.URL)
		}
	}
	if len(origins) == 0 {
		return nil
	}
	switch {
	case w.platform == nil && platform != nil:
		return stale(w.ref, "is for any platform, but for %s/%s in the lock file", platform.OS, platform.Architecture)
	case w.platform != nil && platform != nil && (w.platform.OS != platform.OS || w.platform.Architecture != platform.Architecture || w.platform.Variant != platform.Variant):
		return stale(w.ref, "is for %s/%s, but for %s/%s in the lock file", w.platform.OS, w.platform.Architecture, platform.OS, platform.Architecture)
	}
	return nil
}

// checkLock makes sure, before anything is built or pushed, that an enforced lock was made from the
// sources as they are.
func (r *run) checkLock(targets []*target) error {
	var found []error
	for _, t := range targets {
		if !r.job.Lock.Enforces(t.ref) {
			continue
		}
		old := t.lockedParts()
		moves := slices.ContainsFunc(t.lockedPins, r.released)
		changed := slices.DeleteFunc(t.parts.Changed(old), func(part string) bool { return moves && part == buildkit.PartBases })
		_, same := t.lockedDigest()
		switch {
		case old == nil:
			found = append(found, stale(t.ref, "is built from %s, but not in the lock file", t.source.path))
		case len(changed) > 0:
			line, _ := r.differences(t)
			found = append(found, stale(t.ref, "%s", line))
		case !same && !moves:
			found = append(found, stale(t.ref, "is pushed to %s, but the lock file has %s", t.repo.Name(), t.locked.Image))
		}
	}
	return errors.Join(found...)
}

// checkBuilt makes sure that a build under an enforced lock gave the image that was locked.
func (r *run) checkBuilt(t *target) error {
	if !r.job.Lock.Enforces(t.ref) {
		return nil
	}
	if locked, ok := t.lockedDigest(); ok && locked.DigestStr() != t.digest {
		return stale(t.ref, "was gone from the registry, and building it again from equal input gave %s instead of %s", t.digest, locked.DigestStr())
	}
	return nil
}
