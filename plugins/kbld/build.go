package kbld

import (
	"context"
	"fmt"
	"maps"
	"slices"

	kbldconfig "carvel.dev/kbld/pkg/kbld/config"
	kbldimage "carvel.dev/kbld/pkg/kbld/image"
	"github.com/google/go-containerregistry/pkg/name"
	"golang.org/x/sync/errgroup"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// build builds what isn't there, equal input only once. The first failure ends the others.
func (r *run) build(ctx context.Context, targets []*target) error {
	type place struct {
		digest, scheme string
		files          output
	}
	groups := map[place][]*target{}
	var order []place
	for _, t := range targets {
		if t.action != actionBuilt {
			continue
		}
		key := place{t.parts.Digest(), t.repo.Scheme(), t.source.output}
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], t)
	}
	if len(order) == 0 {
		return nil
	}
	if r.plan {
		for _, key := range order {
			r.announce(groups[key])
		}
		return nil
	}
	choice, err := r.daemon.choice(ctx, r.job)
	if err != nil {
		return err
	}
	daemons, err := r.deps.Builder.Daemons(ctx, choice, r.job.Events)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(r.deps.Builds)
	for _, key := range order {
		g.Go(func() error {
			return safely("build of "+groups[key][0].ref, func() error { return r.buildGroup(ctx, daemons, groups[key]) })
		})
	}
	return g.Wait()
}

// buildGroup builds the one input of several targets, and pushes it to all their repositories.
func (r *run) buildGroup(ctx context.Context, daemons []buildkit.Daemon, group []*target) error {
	if r.confined != nil {
		return r.buildInTurn(ctx, daemons, group)
	}
	return r.buildNow(ctx, daemons, group)
}

func (r *run) buildNow(ctx context.Context, daemons []buildkit.Daemon, group []*target) error {
	first := group[0]
	files, err := first.source.output.on(r.job)
	if err != nil {
		return err
	}
	tags := tagsOf(group)
	through, err := r.through(ctx, tags)
	if err != nil {
		return err
	}
	result, err := r.deps.Builder.Build(ctx, first.loaded, buildkit.Output{
		Daemons:  daemons,
		Push:     tags,
		Through:  through,
		Keychain: r.keychain,
		Layout:   files.OCILayout,
		Archive:  files.Tar,
		Tag:      first.parts.Tag(),
		Temp:     r.job.Temp,
		Name:     first.ref,
		Cache:    fmt.Sprintf("strake/%s/%s/%s/%s", r.job.App.Namespace, r.job.App.Name, first.source.where(), first.source.dockerfile),
		Tenant:   r.confined.tenant(first),
	}, r.job.Events)
	if err != nil {
		return err
	}
	for _, t := range group {
		t.digest, t.built = result.Digest, result
		if err := r.checkBuilt(t); err != nil {
			return err
		}
	}
	r.announce(group)
	return nil
}

// through returns the client to push tags with; nil means that the daemon can. It can't where only the
// client was told whom to trust.
func (r *run) through(ctx context.Context, tags []name.Tag) (*registry.Client, error) {
	for _, tag := range tags {
		private, err := r.registry.PrivateCA(ctx, tag.Registry)
		if err != nil {
			return nil, explain(err, tag)
		}
		if private {
			return r.registry, nil
		}
	}
	return nil, nil
}

// announce tells what is, or would be, built and pushed for a group.
func (r *run) announce(group []*target) {
	tags, first := tagsOf(group), group[0]
	name := first.repoText()
	if len(tags) > 0 {
		name = tags[0].Name()
	}
	r.change(stages.Change{Op: "build", Kind: "image", Name: name, Reason: first.reason})
	for _, place := range first.source.output.places() {
		r.change(stages.Change{Op: "create", Kind: "file", Name: place, Reason: first.reason})
	}
	for _, tag := range tags {
		r.change(stages.Change{Op: "push", Kind: "image", Name: tag.Name(), Reason: first.reason})
	}
}

// tagsOf lists where the image of a group goes, each place once.
func tagsOf(group []*target) []name.Tag {
	byName := map[string]name.Tag{}
	for _, t := range group {
		if t.filesOnly {
			continue
		}
		byName[t.tag().Name()] = t.tag()
	}
	var tags []name.Tag
	for _, key := range slices.Sorted(maps.Keys(byName)) {
		tags = append(tags, byName[key])
	}
	return tags
}

// finish adds the destinations' own tags and makes images of the targets.
func (r *run) finish(ctx context.Context, targets []*target) error {
	tasks := map[string]func() error{}
	for _, t := range targets {
		tasks[t.ref] = func() error {
			i, err := r.finishOne(ctx, t)
			if err == nil {
				r.set(t.ref, i)
			}
			return err
		}
	}
	return inParallel(ctx, lookups, tasks)
}

func (r *run) finishOne(ctx context.Context, t *target) (image, error) {
	i := image{action: t.action, reason: t.reason, built: r.describe(ctx, t), changed: t.changes}
	var err error
	if i.annotations, err = t.notes(); err != nil {
		return i, err
	}
	if i.origins, err = r.originsOf(t); err != nil {
		return i, err
	}
	if t.local != "" {
		i.url = t.local
		return i, nil
	}
	for _, tag := range t.destination.Tags {
		if err := r.addTag(ctx, t, t.repo.Tag(tag)); err != nil {
			return i, err
		}
	}
	if len(t.destination.Tags) > 0 {
		i.origins = append(i.origins, kbldconfig.Origin{Tagged: &kbldconfig.OriginTagged{Tags: t.destination.Tags}})
	}
	if !r.plan && r.confined == nil {
		// It only makes messages better.
		_ = t.loaded.Keep(cacheFolder(r.job), t.recordKey(), t.parts, t.pins)
	}
	if t.digest == "" {
		i.url, i.pending = t.tag().Name(), true
		if t.source.tool != "" {
			// Its tag is made up when it is pushed.
			i.url = t.repo.Name()
		}
		return i, nil
	}
	if t.filesOnly {
		i.url = t.fileReference()
		return i, nil
	}
	if i.url, _, err = kbldimage.NewDigestedImageFromParts(t.repo.Name(), t.digest).URL(); err != nil {
		return i, err
	}
	return selectPlatform(ctx, r.registry, i, t.platform)
}

// describe says what is known of a target's image. That of one which was built earlier is asked for once
// for each digest, and only for people to read: it may be unknown.
func (r *run) describe(ctx context.Context, t *target) buildkit.Result {
	if t.action != actionReused {
		return t.built
	}
	s, err := r.lookup.Summary(ctx, t.repo.Digest(t.digest))
	if err != nil {
		return buildkit.Result{}
	}
	return buildkit.Result{Digest: t.digest, Platforms: s.Platforms, Size: s.Size}
}

// notes are what the lock tells of a target that BuildKit has built.
func (t *target) notes() (map[string]string, error) {
	if t.loaded == nil {
		return nil, nil
	}
	notes := map[string]string{
		schema.AnnotationBuildInput: t.parts.Digest(),
		schema.AnnotationSourceDate: t.loaded.Date(),
	}
	for part, digest := range maps.All(t.parts) {
		notes[schema.AnnotationBuildPart+part] = digest
	}
	pins, err := schema.PrintPins(t.pins.Locked())
	if pins != "" {
		notes[schema.AnnotationBuildPins] = pins
	}
	return notes, err
}

// addTag lets a tag point to the target's image, unless it does so already.
func (r *run) addTag(ctx context.Context, t *target, tag name.Tag) error {
	desc, err := r.registry.Head(ctx, tag)
	if err != nil && !registry.NotFound(err) {
		return explain(err, tag)
	}
	if err == nil && desc.Digest.String() == t.digest {
		return nil
	}
	if !r.plan {
		digest := t.repo.Digest(t.digest)
		image, err := r.registry.Get(ctx, digest)
		if err != nil {
			return explain(err, digest)
		}
		if err := r.registry.Push(ctx, tag, image); err != nil {
			return explain(err, tag)
		}
	}
	r.change(stages.Change{Op: "push", Kind: "image", Name: tag.Name(), Reason: "tag of the destination"})
	return nil
}
