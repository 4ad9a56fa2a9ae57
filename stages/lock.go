package stages

import (
	"slices"

	"strake.dev/strake/schema"
)

// A Lock is what the lock file says that mutable references resolved to. What a run resolves anew
// is in the [Result]s of its steps.
type Lock struct {
	// Enforce is --locked: what the file says has to be used, and what it lacks is a [LockError].
	Enforce bool
	// Free are the entries that an enforced lock has no say in, because they are to be resolved anew:
	// the paths of sources, the references of images, and what images are built from.
	Free []string
	// File is what the lock file holds.
	File schema.Lock
}

// Enforces tells whether the lock has to be used for an entry.
func (l *Lock) Enforces(entry string) bool { return l.Enforce && !slices.Contains(l.Free, entry) }

// Source returns the entry of the source at a path of the App's folder; where it is enforced, a missing
// one is a [LockError].
func (l *Lock) Source(path string) (schema.LockedSource, bool, error) {
	s, ok := l.File.Source(path)
	if !ok && l.Enforces(path) {
		return s, false, &LockError{Entry: "source " + path, Reason: "is not in the lock file"}
	}
	return s, ok, nil
}

// Image returns the entry of an image, by the reference that the manifests have; where it is enforced,
// a missing one is a [LockError].
func (l *Lock) Image(ref string) (schema.LockedImage, bool, error) {
	i, ok := l.File.Image(ref)
	if !ok && l.Enforces(ref) {
		return i, false, &LockError{Entry: "image " + ref, Reason: "is not in the lock file"}
	}
	return i, ok, nil
}
