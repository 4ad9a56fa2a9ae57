package kbld

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	kbldconfig "carvel.dev/kbld/pkg/kbld/config"
	kbldimage "carvel.dev/kbld/pkg/kbld/image"
	"github.com/google/go-containerregistry/pkg/name"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// A target is a reference that has a source: what it is built from, and where it goes.
type target struct {
	want
	destination kbldconfig.ImageDestination
	repo        name.Repository
	// locked is the lock file's entry for the reference; its Image is empty when there is none.
	locked     schema.LockedImage
	lockedPins buildkit.Pins
	// filesOnly tells that it is pushed nowhere.
	filesOnly bool

	loaded *buildkit.Build
	pins   buildkit.Pins
	parts  buildkit.Parts
	// digest is that of the image, once it is known to be there.
	digest string
	// built is what the build has given, if there was one.
	built buildkit.Result
	// local is the image's name at docker, if a tool has built it and it has no destination.
	local  string
	action string
	reason string
	// changes names everything that led to a build.
	changes []string
}

func (r *run) newTarget(w want) (*target, error) {
	if w.source.unsupported != nil {
		return nil, w.source.unsupported
	}
	if err := checkTool(w.source); err != nil {
		return nil, err
	}
	m := kbldimage.NewMatcher(w.url)
	destinations := r.conf.ImageDestinations()
	i := slices.IndexFunc(destinations, func(d kbldconfig.ImageDestination) bool { return m.Matches(d.ImageRef) })
	var d kbldconfig.ImageDestination
	if i >= 0 {
		d = destinations[i]
	}
	if below := r.job.Repositories; below != "" && (i >= 0 || !w.source.output.given()) {
		d.NewImage, i = below+"/"+lastPart(cmp.Or(d.NewImage, w.url)), 0
	}
	switch {
	case i < 0 && w.source.output.given():
		return r.newFileTarget(w)
	case i < 0 && r.localImages && w.source.tool != "":
		return &target{want: w}, nil
	case i < 0:
		return nil, stages.WithHint(errors.New("has a source, but no destination to push it to"),
			"add “destinations: [{image: %s, newImage: registry.example.com/team/%s}]” to the kbld Config", w.url, lastPart(w.url))
	}
	repo, err := r.registry.Repository(d.NewImage)
	if err != nil {
		return nil, stages.WithHint(fmt.Errorf("destination %q is not the name of a repository: %w", d.NewImage, err),
			"newImage has neither tag nor digest; “tags” adds tags")
	}
	for _, tag := range d.Tags {
		if _, err := name.NewTag(repo.Name() + ":" + tag); err != nil {
			return nil, fmt.Errorf("destination %s: %w", d.NewImage, err)
		}
	}
	if err := r.confined.allows(repo, d.Tags); err != nil {
		return nil, err
	}
	locked, _, err := r.job.Lock.Image(w.ref)
	if err != nil {
		return nil, err
	}
	pins, err := readPins(w.ref, locked)
	return &target{want: w, destination: d, repo: repo, locked: locked, lockedPins: pins}, err
}

// lastPart is the last element of a reference's repository, for advice.
func lastPart(ref string) string {
	repo, _ := kbldimage.URLRepo(ref)
	return repo[strings.LastIndexByte(repo, '/')+1:]
}

// tag is where the image is pushed to.
func (t *target) tag() name.Tag { return t.repo.Tag(t.parts.Tag()) }

// lockedParts are the parts that the locked image was made from; nil when it wasn't built.
func (t *target) lockedParts() buildkit.Parts {
	var parts buildkit.Parts
	for key, value := range maps.All(t.locked.Annotations) {
		if part, ok := strings.CutPrefix(key, schema.AnnotationBuildPart); ok {
			if parts == nil {
				parts = buildkit.Parts{}
			}
			parts[part] = value
		}
	}
	return parts
}

// lockedDigest is the digest of the locked image, if that has the same input and destination.
func (t *target) lockedDigest() (name.Digest, bool) {
	if t.locked.Annotations[schema.AnnotationBuildInput] != t.parts.Digest() {
		return name.Digest{}, false
	}
	d, err := name.NewDigest(t.locked.Image)
	if err != nil || d.Context().Name() != t.repo.Name() {
		return name.Digest{}, false
	}
	return d, true
}

// prepare reads the sources of all targets, each source once, and digests their input.
func (r *run) prepare(ctx context.Context, targets []*target) error {
	if len(targets) == 0 {
		return nil
	}
	epoch, err := r.deps.Builder.Epoch()
	if err != nil {
		return err
	}
	bySource := map[*source][]*target{}
	for _, t := range targets {
		bySource[t.source] = append(bySource[t.source], t)
	}
	tasks := map[string]func() error{}
	for s, ts := range bySource {
		tasks[ts[0].ref] = func() error {
			options, err := s.optionsFor(r.job)
			if err == nil && r.deps.BuildCache != "" && len(options.CacheFrom)+len(options.CacheTo) == 0 {
				options.CacheFrom, options.CacheTo, err = sharedCache(r.deps.BuildCache, s.config.Image)
			}
			if err != nil {
				return err
			}
			if err := r.deps.Builder.Permits(options); err != nil {
				return err
			}
			loaded, err := buildkit.Load(ctx, buildkit.Source{
				Root: r.job.Sources.Root(), Remote: s.remote, Context: s.path, Dockerfile: s.dockerfile, Sums: r.job.Sources.Sums,
				Confined: r.confined != nil, Options: options,
			}, epoch)
			if err != nil {
				return err
			}
			if err := r.confined.bounds(loaded); err != nil {
				return err
			}
			pins, err := r.pin(ctx, loaded, ts)
			if err != nil {
				return err
			}
			parts := loaded.Parts()
			parts[buildkit.PartBases] = pins.Digest()
			for _, t := range ts {
				t.loaded, t.pins, t.parts = loaded, pins, parts
			}
			loaded.SetDate(r.date(ts[0]))
			return nil
		}
	}
	if err := inParallel(ctx, r.deps.Builds, tasks); err != nil {
		return err
	}
	return r.checkLock(targets)
}

// reuse finds out whether the image of a target is in the registry already.
func (r *run) reuse(ctx context.Context, t *target) error {
	has := func(ref name.Reference) (bool, error) {
		desc, err := r.registry.Head(ctx, ref)
		if registry.NotFound(err) {
			return false, nil
		}
		if err != nil {
			return false, explain(err, ref)
		}
		t.digest = desc.Digest.String()
		return true, nil
	}
	if r.deps.Rebuild {
		t.action, t.reason = actionBuilt, "a rebuild was asked for"
		return nil
	}
	locked, same := t.lockedDigest()
	if same {
		if ok, err := has(locked); ok || err != nil {
			t.action, t.reason = actionReused, "input is unchanged"
			return err
		}
	}
	if !same || !r.job.Lock.Enforces(t.ref) {
		if ok, err := has(t.tag()); ok || err != nil {
			t.action, t.reason = actionReused, "was built from equal input before"
			return err
		}
	}
	t.action = actionBuilt
	r.explained(t, same)
	return nil
}

// explained lets a target say why it has to be built, in one line and in full.
func (r *run) explained(t *target, same bool) {
	t.reason, t.changes = r.why(t, same)
}

// manyReasons bounds what is told of a build in full.
const manyReasons = 200

func (r *run) why(t *target, same bool) (reason string, all []string) {
	if same {
		return "image is gone from the registry", nil
	}
	reason, all = r.differences(t)
	switch {
	case len(all) > 0:
		return reason, all
	case t.lockedParts() == nil:
		return "first build", nil
	}
	return "first build for " + t.repo.Name(), nil
}

// differences says, in one line and in full, in what a target's input differs from that of the lock, or
// without a lock from that of the last build; nothing when it doesn't, or when no earlier one is known.
func (r *run) differences(t *target) (line string, all []string) {
	was := buildkit.Recall(cacheFolder(r.job), t.recordKey(), t.lockedParts(), t.lockedPins)
	if was == nil || len(t.parts.Changed(was.Parts)) == 0 {
		return "", nil
	}
	now := t.loaded.Record(t.parts, t.pins)
	return strings.Join(buildkit.Explain(was, now, buildkit.FewReasons), ", "), buildkit.Explain(was, now, manyReasons)
}

// recordKey names the target's source among the records of builds.
func (t *target) recordKey() string {
	return strings.Join([]string{t.ref, t.source.where(), t.source.dockerfile}, "\n")
}
