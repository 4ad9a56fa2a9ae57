package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"time"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// grace is how long a step may take to return once its context has ended, before the run goes on
// without it.
const grace = 10 * time.Second

// step runs one step, or leaves it out when its inputs are those of the last run.
func (r *run) step(ctx context.Context, s Step) error {
	events := observer{to: r.opts.Observer, secret: r.secret, step: s.Name, stage: s.Stage}
	started := time.Now()
	events.Observe(stages.Event{Type: stages.StepStarted, Message: s.Plugin.Name})
	s, skip, err := r.ready(s)
	rec := StepRecord{Name: s.Name, Stage: s.Stage, Plugin: s.Plugin.Name, Folder: s.Folder, Status: StatusSkipped, Reason: skip}
	switch {
	case err != nil:
	case skip != "":
		err = r.leaveOut(s)
	default:
		rec, err = r.attempts(ctx, s, events)
	}
	rec.Seconds = time.Since(started).Seconds()
	switch {
	case err != nil:
		failure := r.blame(s, err)
		tolerated := s.spec.ContinueOnError && ctx.Err() == nil
		events.Observe(stages.Event{Type: stages.StepFinished, Error: failure.text, Hint: stages.Hint(err), Tolerated: tolerated, Seconds: rec.Seconds})
		if !tolerated {
			return failure
		}
		stages.Warn(events, "the step has failed, and the run goes on without it (continueOnError)")
		r.keep(s, StatusFailed, nil)
		return nil
	case rec.Status == StatusSkipped:
		events.Observe(stages.Event{Type: stages.StepSkipped, Message: rec.Reason, Seconds: rec.Seconds})
	default:
		events.Observe(stages.Event{Type: stages.StepFinished, Seconds: rec.Seconds})
	}
	if skip == "" {
		r.keep(s, StatusDone, rec.Outputs)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Record.set(rec)
	if r.provisional {
		return nil // what was only planned must not be taken for done
	}
	return r.ws.writeRecord(&r.report.Record)
}

// The status of a step in the record.
const (
	StatusDone    = "done"
	StatusSkipped = "skipped"
	StatusFailed  = "failed"
)

// unchanged is why a step is left out.
const unchanged = "nothing changed since the last run"

func (r *run) perform(ctx context.Context, s Step) (rec StepRecord, err error) {
	rec = StepRecord{Name: s.Name, Stage: s.Stage, Plugin: s.Plugin.Name, Folder: s.Folder, Status: StatusDone}
	if t := s.spec.Timeout; t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, t, &TimeoutError{After: t})
		defer cancel()
	}
	if err := ctx.Err(); err != nil {
		return rec, context.Cause(ctx)
	}
	sources, err := r.ws.open(sourcesDir)
	if err != nil {
		return rec, err
	}
	defer func() { err = errors.Join(err, sources.Close()) }()
	sources.Sums = r.ws.sums
	if s.Stage == stages.Template {
		sources.Overlay = r.overlay
	}
	job := r.job(s)
	job.Sources = sources

	if rec.Key, err = r.key(ctx, s, job); err != nil {
		return rec, err
	}
	if last, ok := r.last.step(s.Name); ok && rec.Key != "" && last.Key == rec.Key && r.intact(ctx, s, last) {
		rec.Output, rec.HasManifests, rec.Sources, rec.Images = last.Output, last.HasManifests, last.Sources, last.Images
		rec.SourceDate, rec.Origin, rec.Outputs = last.SourceDate, last.Origin, last.Outputs
		rec.Status, rec.Reason = StatusSkipped, unchanged
		return rec, r.adopt(s, last)
	}
	if cached, found, err := r.recall(s, rec); found || err != nil {
		return cached, err
	}
	return r.execute(ctx, s, job, rec)
}

// execute runs or plans the step in an area of its own.
func (r *run) execute(ctx context.Context, s Step, job *stages.Job, rec StepRecord) (_ StepRecord, err error) {
	area, err := r.ws.stage(s.Name)
	if err != nil {
		return rec, err
	}
	defer func() { err = errors.Join(err, area.Close()) }()
	if s.Stage == stages.Fetch {
		// The files stay the same ones when the area is moved to its place.
		area.Sums = r.ws.sums.Below(s.Folder)
	}
	job.Out = area
	told := &tally{}
	job.Events = telling{job.Events, told}

	result, changes, err := r.call(ctx, s, job)
	for _, c := range changes {
		told.count(c)
	}
	if len(changes) > 0 {
		r.report.Changes = append(r.report.Changes, changes...)
		tellPlanned(job.Events, changes)
	}
	if err != nil {
		return rec, err
	}
	if err := r.openOutputs(result.Outputs); err != nil {
		return rec, err
	}
	if result.Skipped != "" {
		rec.Status, rec.Reason = StatusSkipped, result.Skipped
	}
	rec.Sources, rec.Images, rec.HasManifests = result.Sources, result.Images, result.Manifests != nil
	rec.SourceDate, rec.Origin = result.SourceDate, result.Origin
	if result.Overlay != nil {
		r.overlay = r.overlay.With(result.Overlay)
	}
	if r.provisional {
		rec.Outputs = told.yielded(s, rec, result)
		r.merge(rec, result.Manifests, "")
		return rec, nil
	}
	if s.Stage == stages.Fetch {
		if err := area.CheckLinks(); err != nil {
			return rec, err
		}
		if rec.Output, err = area.Digest(ctx); err != nil {
			return rec, err
		}
	} else if rec.HasManifests {
		if err := area.Root().WriteFile(manifestFile, result.Manifests, 0o600); err != nil {
			return rec, err
		}
		rec.Output = result.Manifests.Digest()
	}
	rec.Outputs = told.yielded(s, rec, result)
	if err := r.place(s); err != nil {
		return rec, err
	}
	r.remember(s, rec, result.Manifests)
	r.merge(rec, result.Manifests, r.fileOf(s))
	return rec, nil
}

// forget drops a step from the record.
func (r *run) forget(s Step) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Record.drop(s.Name)
	return r.ws.writeRecord(&r.report.Record)
}

// An outcome is what a call of a step has led to.
type outcome struct {
	result  stages.Result
	changes []stages.Change
}

// call runs the step, or lets it tell what it would do.
func (r *run) call(ctx context.Context, s Step, job *stages.Job) (stages.Result, []stages.Change, error) {
	onlyPlan := r.mode != modeRun && slices.Contains([]stages.Stage{stages.Build, stages.Publish, stages.Deploy}, s.Stage)
	if onlyPlan {
		r.provisional = true
	}
	if r.mode == modeSave && s.Stage == stages.Deploy {
		changes, err := r.save(ctx, s, job)
		return stages.Result{}, changes, err
	}
	o, err := await(ctx, s, func() (o outcome, err error) {
		if !onlyPlan {
			o.result, err = s.step.Run(ctx, job)
			return o, err
		}
		planner, ok := s.step.(stages.Planner)
		if !ok {
			return o, fmt.Errorf("the %s plugin can't tell what it would do", s.Plugin.Name)
		}
		o.result, o.changes, err = planner.Plan(ctx, job)
		return o, err
	})
	return o.result, o.changes, err
}

// await calls a step, and sees to it that a cancelled one can't hold up the run.
func await[T any](ctx context.Context, s Step, do func() (T, error)) (T, error) {
	type ended struct {
		value T
		err   error
	}
	done := make(chan ended, 1)
	go func() {
		var e ended
		e.err = guard(func() (err error) {
			e.value, err = do()
			return err
		})
		done <- e
	}()
	finish := func(e ended) (T, error) {
		// A library's own words for a cancelled or timed out context say less than the cause.
		if e.err != nil && ctx.Err() != nil {
			e.err = fmt.Errorf("%w (%w)", context.Cause(ctx), e.err)
		}
		return e.value, e.err
	}
	select {
	case e := <-done:
		return finish(e)
	case <-ctx.Done():
	}
	select {
	case e := <-done:
		return finish(e)
	case <-time.After(grace):
		var none T
		return none, fmt.Errorf("%w (the %s plugin did not stop within %s)", context.Cause(ctx), s.Plugin.Name, grace)
	}
}

// fileOf is the path of the file in the workspace that a step's manifests are in.
func (r *run) fileOf(s Step) string {
	return filepath.Join(r.ws.tree.Dir(), filepath.FromSlash(place(s)), manifestFile)
}

// merge lets the run go on with what a step has yielded; file is where its manifests are, if anywhere.
func (r *run) merge(rec StepRecord, manifests stages.Manifests, file string) {
	if r.gathered != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.gathered[rec.Name] = rec
		return
	}
	r.newLock.Sources = append(r.newLock.Sources, rec.Sources...)
	if !rec.SourceDate.IsZero() {
		r.dates[rec.Folder] = rec.SourceDate
	}
	if rec.Stage == stages.Publish && rec.Origin.Source != "" {
		// What is deployed is what was published.
		r.origin = stages.Origin{}
	}
	r.origin = stages.Origin{
		Source: list(r.origin.Source, rec.Origin.Source), Revision: list(r.origin.Revision, rec.Origin.Revision),
		Artifacts: slices.Concat(r.origin.Artifacts, rec.Origin.Artifacts),
	}
	r.newLock.Images = append(r.newLock.Images, rec.Images...)
	if manifests != nil {
		r.manifests, r.rendered = manifests, file
		for _, value := range manifestSecrets(manifests) {
			r.secret.set.Add(value)
		}
	}
}

// list adds an entry to a list that is separated by commas.
func list(all, more string) string {
	if all == "" || more == "" {
		return all + more
	}
	return all + "," + more
}

// adopt lets the run go on with what a step yielded in the last run.
func (r *run) adopt(s Step, rec StepRecord) error {
	var manifests stages.Manifests
	if rec.HasManifests {
		var err error
		if manifests, err = fs.ReadFile(r.ws.tree.Root().FS(), path.Join(place(s), manifestFile)); err != nil {
			return err
		}
		if manifests == nil {
			manifests = stages.Manifests{}
		}
	}
	r.merge(rec, manifests, r.fileOf(s))
	events := observer{to: r.opts.Observer, secret: r.secret, step: s.Name, stage: s.Stage}
	for _, i := range rec.Images {
		events.Observe(stages.Event{Type: stages.ImageFinal, Image: &stages.Image{
			From: i.Annotations[schema.AnnotationImageID], To: i.Image, Action: stages.ImageKept, Reason: unchanged,
		}})
	}
	return nil
}

// intact tells whether what a step made in the last run is still there as it was.
func (r *run) intact(ctx context.Context, s Step, rec StepRecord) bool {
	if rec.Stage != s.Stage || rec.Folder != s.Folder {
		return false
	}
	if s.Stage == stages.Fetch {
		digest, err := r.sourceDigest(ctx, s)
		return err == nil && digest == rec.Output
	}
	if !rec.HasManifests {
		return true
	}
	data, err := fs.ReadFile(r.ws.tree.Root().FS(), path.Join(place(s), manifestFile))
	return err == nil && stages.Manifests(data).Digest() == rec.Output
}

func (r *run) sourceDigest(ctx context.Context, s Step) (_ string, err error) {
	tree, err := r.ws.open(place(s))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, tree.Close()) }()
	tree.Sums = r.ws.sums.Below(s.Folder)
	return tree.Digest(ctx)
}

// key is the digest of everything the step's result depends on; empty if that can't be told.
func (r *run) key(ctx context.Context, s Step, job *stages.Job) (string, error) {
	keyer, ok := s.step.(stages.Keyer)
	if !ok {
		return "", nil
	}
	var own string
	err := guard(func() (err error) {
		own, err = keyer.Key(ctx, job)
		return err
	})
	if err != nil || own == "" {
		return "", err
	}
	config, err := s.with.Value()
	if err != nil {
		return "", err
	}
	plain, err := json.Marshal(config)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n%s\n%s\n%q\n%q\n", s.Stage, s.Plugin.Name, s.Plugin.Version, plain, own)
	fmt.Fprintf(sum, "%q %q %q %q\n", job.App.Name, job.App.Namespace, job.App.DefaultNamespace, job.Folder)
	if s.Stage != stages.Fetch {
		fmt.Fprintf(sum, "%t %s\n", job.Manifests == nil, job.Manifests.Digest())
		for _, k := range slices.Sorted(maps.Keys(job.Values)) {
			fmt.Fprintf(sum, "%q=%q\n", k, job.Values[k])
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
