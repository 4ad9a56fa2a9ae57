package stages

import "strake.dev/strake/schema"

// A Lock is what the lock file says that mutable references resolved to. What a run resolves anew
// is in the [Result]s of its steps.
type Lock struct {
	// Enforce is --locked: what the file says has to be used, and what it lacks is a [LockError].
	Enforce bool
	// File is what the lock file holds.
	File schema.Lock
}

// Source returns the entry of the source at a path of the App's folder; with Enforce, a missing
// one is a [LockError].
func (l *Lock) Source(path string) (schema.LockedSource, bool, error) {
	s, ok := l.File.Source(path)
	if !ok && l.Enforce {
		return s, false, &LockError{Entry: "source " + path, Reason: "is not in the lock file"}
	}
	return s, ok, nil
}

// Image returns the entry of an image, by the reference that the manifests have; with Enforce, a
// missing one is a [LockError].
func (l *Lock) Image(ref string) (schema.LockedImage, bool, error) {
	i, ok := l.File.Image(ref)
	if !ok && l.Enforce {
		return i, false, &LockError{Entry: "image " + ref, Reason: "is not in the lock file"}
	}
	return i, ok, nil
}
