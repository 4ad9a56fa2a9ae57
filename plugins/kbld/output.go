package kbld

import (
	"context"
	"errors"
	"fmt"

	kbldimage "carvel.dev/kbld/pkg/kbld/image"
	"github.com/google/go-containerregistry/pkg/name"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// An output is where an image is written to besides a registry, or instead of one. Paths count from
// the App's file.
type output struct {
	// OCILayout is a folder.
	OCILayout string `json:"ociLayout,omitempty"`
	// Tar is a file with an OCI layout in it.
	Tar string `json:"tar,omitempty"`
}

// Validate checks that there is a place.
func (o *output) Validate(n *schema.Node) error {
	switch {
	case o.OCILayout == "" && o.Tar == "":
		return n.Errorf("expected ociLayout, tar or both")
	case o.OCILayout == o.Tar:
		return n.Get("tar").Errorf("is the same path as ociLayout")
	}
	return nil
}

// given tells whether there is a place to write to.
func (o output) given() bool { return o != output{} }

// on returns the output with absolute paths.
func (o output) on(job *stages.Job) (output, error) {
	for _, p := range []*string{&o.OCILayout, &o.Tar} {
		if *p == "" {
			continue
		}
		var err error
		if *p, err = localPath(job, *p); err != nil {
			return o, err
		}
	}
	return o, nil
}

// newFileTarget makes the target of a reference whose image goes to files only. It is called by the
// source's own name.
func (r *run) newFileTarget(w want) (*target, error) {
	if w.platform != nil {
		return nil, errors.New("has a platformSelection, which needs a destination")
	}
	ref, err := name.ParseReference(w.url)
	if err != nil {
		return nil, fmt.Errorf("is not the name of an image: %w", err)
	}
	locked, _, err := r.job.Lock.Image(w.ref)
	if err != nil {
		return nil, err
	}
	pins, err := readPins(w.ref, locked)
	return &target{want: w, repo: ref.Context(), locked: locked, lockedPins: pins, filesOnly: true}, err
}

// fileReference is what the manifests get for an image that is in no registry.
func (t *target) fileReference() string { return t.repoText() + "@" + t.digest }

// written returns the digest of the target's image if all its files have it, and else the first that
// doesn't.
func (r *run) written(t *target) (digest, lacks string, err error) {
	o, err := t.source.output.on(r.job)
	if err != nil {
		return "", "", err
	}
	for _, place := range []struct {
		given, path string
		find        func(path, tag string) (string, error)
	}{
		{t.source.output.OCILayout, o.OCILayout, buildkit.LayoutDigest},
		{t.source.output.Tar, o.Tar, buildkit.ArchiveDigest},
	} {
		if place.path == "" {
			continue
		}
		found, err := place.find(place.path, t.parts.Tag())
		if err != nil {
			return "", "", fmt.Errorf("output %s: %w", place.given, err)
		}
		if found == "" || digest != "" && found != digest {
			return "", place.given, nil
		}
		digest = found
	}
	return digest, "", nil
}

// find finds out whether the image of a target is everywhere it goes already.
func (r *run) find(ctx context.Context, t *target) error {
	if !t.filesOnly {
		if err := r.reuse(ctx, t); err != nil || t.action == actionBuilt || !t.source.output.given() {
			return err
		}
	}
	digest, lacks, err := r.written(t)
	locked, same := t.lockedDigest()
	switch {
	case err != nil:
		return err
	case digest != "" && digest == t.digest:
		return nil
	case digest != "" && t.filesOnly && (!r.job.Lock.Enforces(t.ref) || same && locked.DigestStr() == digest):
		t.digest, t.action, t.reason = digest, actionReused, "was built from equal input before"
		return nil
	case lacks == "":
		lacks = t.source.output.places()[0]
	}
	t.action = actionBuilt
	if r.explained(t, false); len(t.changes) == 0 && t.lockedParts() != nil {
		t.reason = "it isn't in " + lacks
	}
	return nil
}

// places lists the paths as they were given.
func (o output) places() []string {
	var list []string
	for _, p := range []string{o.OCILayout, o.Tar} {
		if p != "" {
			list = append(list, p)
		}
	}
	return list
}

// repoText is the name of the target's repository as it was written, for a target that is in none.
func (t *target) repoText() string {
	repo, _ := kbldimage.URLRepo(t.url)
	return repo
}
