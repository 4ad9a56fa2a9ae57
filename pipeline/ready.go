package pipeline

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// waits tells whether what the step does depends on what became of earlier ones.
func (s Step) waits() bool { return s.late || s.when != nil && s.when.Names(nameSteps) }

// ready returns the step with its configuration bound, now that the steps before it have run, or says why it
// is left out.
func (r *run) ready(s Step) (_ Step, skip string, err error) {
	if s.when == nil && !s.late {
		return s, "", nil
	}
	names := r.names()
	if s.when != nil {
		holds, err := s.when.True(names)
		switch {
		case err != nil && r.provisional:
			return s, "whether it runs can't be told beforehand: " + err.Error(), nil
		case err != nil:
			return s, "", at(s.spec.Node().Get("when"), err)
		case !holds:
			return s, untrue(s.when.Text), nil
		}
	}
	if !s.late {
		return s, "", nil
	}
	with, err := r.plan.scope.fill(s.spec.With, r.plan.stepsBefore(s), names)
	if err != nil {
		if r.provisional {
			return s, "what it does can't be told beforehand: " + err.Error(), nil
		}
		return s, "", err
	}
	s.with = with
	s.step, err = s.Plugin.New(with)
	return s, "", err
}

// stepsBefore are the plan's steps before one.
func (p *Plan) stepsBefore(s Step) []Step {
	i := slices.IndexFunc(p.Steps, func(other Step) bool { return other.Name == s.Name })
	return p.Steps[:max(0, i)]
}

// leaveOut lets the run go on without a step whose condition doesn't hold. What the lock says of it stays.
func (r *run) leaveOut(s Step) error {
	r.keep(s, StatusSkipped, nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch s.Stage {
	case stages.Fetch:
		for _, source := range r.lock.File.Sources {
			if source.Path == s.Folder || inside(source.Path, s.Folder) {
				r.kept.Sources = append(r.kept.Sources, source)
			}
		}
		r.report.Record.drop(s.Name)
		return r.ws.remove(place(s))
	case stages.Build:
		r.kept.Images = append(r.kept.Images, r.lock.File.Images...)
	}
	return nil
}

// addKept adds to the new lock what the old one says of steps that were left out.
func (r *run) addKept() {
	for _, s := range r.kept.Sources {
		if !slices.ContainsFunc(r.newLock.Sources, func(o schema.LockedSource) bool { return o.Path == s.Path }) {
			r.newLock.Sources = append(r.newLock.Sources, s)
		}
	}
	id := func(i schema.LockedImage) string { return i.Annotations[schema.AnnotationImageID] }
	for _, i := range r.kept.Images {
		if !slices.ContainsFunc(r.newLock.Images, func(o schema.LockedImage) bool { return id(o) == id(i) }) {
			r.newLock.Images = append(r.newLock.Images, i)
		}
	}
}

// remove removes an area of an earlier run.
func (w *workspace) remove(place string) error {
	if err := w.tree.Root().RemoveAll(place); err != nil {
		return err
	}
	return w.tree.Root().MkdirAll(path.Dir(place), 0o700)
}

// attempts performs a step, and tries again what may succeed then.
func (r *run) attempts(ctx context.Context, s Step, events observer) (rec StepRecord, err error) {
	wait := time.Second
	for n := 1; ; n++ {
		rec, err = r.perform(ctx, s)
		if err == nil || n > s.spec.Retries || !worthRetrying(ctx, err) {
			return rec, err
		}
		stages.Warn(events, fmt.Sprintf("try %d of %d failed: %s; trying again in %s", n, s.spec.Retries+1, err, wait))
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return rec, errors.Join(context.Cause(ctx), err)
		}
		wait = min(2*wait, longestWait)
	}
}

// longestWait is how far apart the tries of a step are at most.
const longestWait = 30 * time.Second

// worthRetrying tells whether an error may be gone the next time: not what was refused, or is wrong in a file.
func worthRetrying(ctx context.Context, err error) bool {
	var (
		lock    *stages.LockError
		refused *stages.RefusedError
		found   schema.Diagnostics
		one     schema.Diagnostic
	)
	return ctx.Err() == nil && !errors.As(err, &lock) && !errors.As(err, &refused) && !errors.As(err, &found) && !errors.As(err, &one)
}

// cutLast cuts a text around the last separator.
func cutLast(text, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(text, sep)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(sep):], true
}
