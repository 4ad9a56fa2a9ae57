package stages

import (
	"fmt"
	"slices"

	"strake.dev/strake/schema"
)

// A Lock is what the lock file says that mutable references resolved to. What a run resolves anew
// is in the [Result]s of its steps.
type Lock struct {
	// Enforce is --locked: what the file says has to be used, and what it lacks is a [LockError].
	Enforce bool
	// Renew means that every entry may become another: the lock is being updated.
	Renew bool
	// Free are the entries that an enforced lock has no say in, because they are to be resolved anew:
	// the paths of sources, the references of images, what images are built from, and plugins.
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

// CheckPlugin compares an executable plugin with the lock. Where the lock is enforced, one that isn't in it or
// differs is a [LockError]; elsewhere one that differs is a [RefusedError], as it isn't what was run before.
func (l *Lock) CheckPlugin(now schema.LockedPlugin) error {
	was, ok := l.File.Plugin(now.Name)
	switch {
	case ok && was == now, l.Renew, slices.Contains(l.Free, now.Name), !ok && !l.Enforce:
		return nil
	case !ok:
		return &LockError{Entry: "plugin " + now.Name, Reason: "is not in the lock file"}
	}
	reason := fmt.Sprintf("is %s, but the lock file has %s", now.Digest, was.Digest)
	err := error(&LockError{Entry: "plugin " + now.Name, Reason: reason})
	if !l.Enforce {
		err = &RefusedError{Reasons: []string{"plugin " + now.Name + " " + reason}}
	}
	return WithHint(err, "if that is meant: strake lock update --only %s", now.Name)
}
