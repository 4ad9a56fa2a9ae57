package kbld

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/schema"
)

// pin finds out what the base images and other remotes of a build are at the moment, and has the build
// take exactly those. Where the lock is enforced, its word counts and nobody is asked.
func (r *run) pin(ctx context.Context, loaded *buildkit.Build, ts []*target) (buildkit.Pins, error) {
	locked := ts[0].lockedPins
	enforced := r.job.Lock.Enforces(ts[0].ref)
	if enforced && !slices.ContainsFunc(locked, r.released) {
		loaded.Pin(locked, true)
		return locked, nil
	}
	pins, err := loaded.Pins(ctx, &lockedResolver{Resolver: r.resolver(), pins: locked, free: func(p buildkit.Pin) bool {
		return !enforced || r.released(p)
	}})
	if err != nil {
		return nil, err
	}
	loaded.Pin(pins, enforced)
	return pins, nil
}

// released tells whether a pin of an enforced lock may move.
func (r *run) released(p buildkit.Pin) bool { return !r.job.Lock.Enforces(p.Ref) }

// A lockedResolver answers from the lock what isn't free, and what can't be asked at the moment.
type lockedResolver struct {
	buildkit.Resolver
	pins buildkit.Pins
	free func(buildkit.Pin) bool
}

func (l *lockedResolver) answer(ref string, ask func() (string, error)) (string, error) {
	known, ok := l.pins.Find(ref)
	if !l.free(buildkit.Pin{Ref: ref}) {
		if !ok {
			return "", fmt.Errorf("%s is not in the lock file", ref)
		}
		return known.Digest, nil
	}
	digest, err := ask()
	if err != nil && ok {
		return known.Digest, nil
	}
	return digest, err
}

// Image, File and Commit are those of [buildkit.Resolver].
func (l *lockedResolver) Image(ctx context.Context, ref string) (string, error) {
	return l.answer(ref, func() (string, error) { return l.Resolver.Image(ctx, ref) })
}

// File answers for a URL.
func (l *lockedResolver) File(ctx context.Context, url string) (string, error) {
	return l.answer(url, func() (string, error) { return l.Resolver.File(ctx, url) })
}

// Commit answers for a reference of a repository.
func (l *lockedResolver) Commit(ctx context.Context, url, ref string) (string, error) {
	return l.answer(buildkit.GitPin(url, ref), func() (string, error) { return l.Resolver.Commit(ctx, url, ref) })
}

// readPins reads the pins of a lock entry.
func readPins(ref string, locked schema.LockedImage) (buildkit.Pins, error) {
	pins, err := schema.PinsOf(locked)
	if err != nil {
		return nil, stale(ref, "has an annotation %s that can't be read: %v", schema.AnnotationBuildPins, err)
	}
	return buildkit.PinsFrom(pins), nil
}

// date is the SOURCE_DATE_EPOCH of a target for which none was asked for: that of the locked image, if
// that has the same input, else the time of the newest commit that its files are from. It is empty when
// they are from none.
func (r *run) date(t *target) string {
	if _, same := t.lockedDigest(); same {
		if date := t.locked.Annotations[schema.AnnotationSourceDate]; date != "" {
			return date
		}
	}
	var newest time.Time
	if t.source.remote != "" {
		return ""
	}
	for folder, date := range maps.All(r.job.SourceDates) {
		if (within(t.source.path, folder) || within(t.source.dockerfile, folder)) && date.After(newest) {
			newest = date
		}
	}
	if newest.IsZero() {
		return ""
	}
	return strconv.FormatInt(newest.Unix(), 10)
}

// within tells whether a path of the App's folder is a folder or below it.
func within(name, folder string) bool {
	return folder == "." || name == folder || strings.HasPrefix(name, folder+"/")
}

var _ buildkit.Resolver = (*lockedResolver)(nil)
