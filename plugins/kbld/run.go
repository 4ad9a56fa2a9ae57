package kbld

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	kbldconfig "carvel.dev/kbld/pkg/kbld/config"
	"github.com/google/go-containerregistry/pkg/authn"
	"golang.org/x/sync/errgroup"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// lookups is how many references are looked up at the same time. Each registry has a limit of its own,
// which the client keeps to.
const lookups = 256

// A run is one execution of the step.
type run struct {
	*input
	job      *stages.Job
	deps     Deps
	registry *registry.Client
	// keychain has the credentials of the step's own Secrets; nil when there are none.
	keychain authn.Keychain
	// lookup tells what builds take from elsewhere, and what images hold.
	lookup *buildkit.Lookup
	// daemon is what the App says of where to build.
	daemon Daemon
	// origins tells where an image that is built from a source comes from.
	origins func(*source) ([]kbldconfig.Origin, error)
	// confined, if not nil, bounds what may be built.
	confined *Confinement
	// localImages lets images that a tool builds stay at docker when they have no destination.
	localImages bool
	// plan means that nothing may be written outside of the workspace.
	plan bool

	mu      sync.Mutex
	images  map[string]image
	changes []stages.Change
}

// settle finds out what every reference becomes: first everything that can be told without a build,
// so that a wrong name or a stale lock shows before a long build, then the builds.
func (r *run) settle(ctx context.Context) error {
	refs, err := r.references()
	if err != nil {
		return err
	}
	plain, targets, err := r.sort(refs)
	if err != nil {
		return err
	}
	builds, tools := byTool(targets)
	err = r.confined.within(ctx, "looking at sources and registries", func(ctx context.Context) error {
		if err := r.prepare(ctx, builds); err != nil {
			return err
		}
		return r.lookUp(ctx, plain, builds)
	})
	if err != nil {
		return err
	}
	if err := r.build(ctx, builds); err != nil {
		return err
	}
	if err := r.useTools(ctx, tools); err != nil {
		return err
	}
	if err := r.finish(ctx, targets); err != nil {
		return err
	}
	for _, ref := range refs {
		if i := r.images[ref]; !i.pending {
			r.job.Events.Observe(stages.Event{Type: stages.ImageFinal, Image: &stages.Image{
				From: ref, To: i.url, Action: i.action, Reason: i.reason, Changed: i.changed,
				Platforms: i.built.Platforms, Size: i.built.Size, Seconds: i.built.Seconds,
			}})
		}
	}
	return nil
}

// sort tells references that have a source from plain ones.
func (r *run) sort(refs []string) (plain []want, targets []*target, err error) {
	var found []error
	for _, ref := range refs {
		w, err := r.wantOf(ref)
		switch {
		case err != nil:
		case w.source == nil:
			plain = append(plain, w)
		default:
			var t *target
			t, err = r.newTarget(w)
			targets = append(targets, t)
		}
		found = append(found, named(ref, err))
	}
	return plain, targets, errors.Join(found...)
}

// lookUp asks registries for the images that aren't built, and whether the others are there already.
func (r *run) lookUp(ctx context.Context, plain []want, targets []*target) error {
	tasks := map[string]func() error{}
	for _, w := range plain {
		tasks[w.ref] = func() error { return r.resolve(ctx, w) }
	}
	for _, t := range targets {
		tasks[t.ref] = func() error { return r.find(ctx, t) }
	}
	return inParallel(ctx, lookups, tasks)
}

// inParallel runs tasks and joins their errors in the order of their names, which are references.
func inParallel(ctx context.Context, limit int, tasks map[string]func() error) error {
	refs := slices.Sorted(maps.Keys(tasks))
	failed := make([]error, len(refs))
	g := new(errgroup.Group)
	g.SetLimit(limit)
	for i, ref := range refs {
		g.Go(func() error {
			if ctx.Err() != nil {
				return nil
			}
			failed[i] = named(ref, safely("looking it up", tasks[ref]))
			return nil
		})
	}
	_ = g.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	return errors.Join(failed...)
}

// An ImageError says which reference couldn't be resolved.
type ImageError struct {
	// Ref is the reference as the manifests have it.
	Ref string
	Err error
}

func (e *ImageError) Error() string { return fmt.Sprintf("image %s: %v", e.Ref, e.Err) }

func (e *ImageError) Unwrap() error { return e.Err }

// named adds to an error which image it is about; a [stages.LockError] says so itself.
func named(ref string, err error) error {
	if _, ok := errors.AsType[*stages.LockError](err); ok || err == nil {
		return err
	}
	return &ImageError{Ref: ref, Err: err}
}

func (r *run) resolve(ctx context.Context, w want) error {
	var i image
	var err error
	if r.job.Lock.Enforces(w.ref) && !w.unlockable() {
		entry, _, missing := r.job.Lock.Image(w.ref)
		if missing != nil {
			return missing
		}
		i, err = w.fromLock(entry)
	} else {
		i, err = w.resolve(ctx, r.registry)
	}
	if err == nil {
		r.set(w.ref, i)
	}
	return err
}

func (r *run) set(ref string, i image) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.images[ref] = i
}

// change tells of a change that is made, or in a plan would be.
func (r *run) change(c stages.Change) {
	r.mu.Lock()
	r.changes = append(r.changes, c)
	r.mu.Unlock()
	if !r.plan {
		r.job.Events.Observe(stages.Event{Type: stages.ChangeMade, Change: &c})
	}
}

// locked lists the images for the lock.
func (r *run) locked() []schema.LockedImage {
	var list []schema.LockedImage
	for _, ref := range slices.Sorted(maps.Keys(r.images)) {
		i := r.images[ref]
		if i.pending || !hasDigest(i.url) {
			continue
		}
		notes := map[string]string{schema.AnnotationImageID: ref}
		if origins := originsYAML(i.origins); origins != nil {
			notes[schema.AnnotationImageOrigins] = string(origins)
		}
		maps.Copy(notes, i.annotations)
		list = append(list, schema.LockedImage{Image: i.url, Annotations: notes})
	}
	return list
}
