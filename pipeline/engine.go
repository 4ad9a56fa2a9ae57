package pipeline

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// Options say how a plan is run.
type Options struct {
	// Version is strake's own; another version takes nothing over from the workspace.
	Version string
	// Dir is the folder that local paths of the file count from.
	Dir string
	// Workspace is the folder for the run's files; it is made if it doesn't exist.
	Workspace string
	// LockFile is the lock file's path; empty for none.
	LockFile string
	// Results keep what steps have made beyond the workspace; nil keeps nothing.
	Results Results
	// Locked makes everything that is not in the lock file, or differs from it, an error.
	Locked bool
	// Move names the entries of the lock file that are resolved anew while all others stay as they are:
	// paths of sources, references of images, and what images are built from. The lock file is written
	// then. Naming one that the lock file doesn't have is a [*UnknownEntryError].
	Move []string
	// Renew lets every entry of the lock file become another; it is for updating it.
	Renew bool
	// From and Until leave out the steps before and after a stage; empty for all.
	From, Until stages.Stage
	// Limits are what deploy steps may do.
	Limits stages.Limits
	// Unchanged lets deploy steps tell also of objects that they leave as they are.
	Unchanged bool
	// Values are the values of --set.
	Values map[string]string
	// Cluster finds the Secrets and ConfigMaps that are not in the file.
	Cluster stages.Objects
	// Target returns what tells about the cluster that an App is deployed to, given what finds the
	// Secrets that its kubeconfig may be in; nil means that there is none.
	Target func(stages.App, stages.Objects) stages.Target
	// Observer is told what happens.
	Observer stages.Observer
	// Secrets are values of the environment that no text may have: passwords and tokens of registries,
	// clusters and keys.
	Secrets [][]byte
	// Secret, if not nil, is told each other value that is kept out of all texts from then on.
	Secret func(value string)
	// Transcript, if not nil, gets what the deploying tool prints by itself, with secrets masked once
	// the run has ended.
	Transcript *stages.Transcript
}

// A Report is what a run has led to. It is complete also when the run failed.
type Report struct {
	Record Record
	// Manifests are the manifests after the last step that ran.
	Manifests stages.Manifests
	// Images are the images of the manifests, as far as they were resolved.
	Images []schema.LockedImage
	// Changes are what a plan found.
	Changes []stages.Change
	// Origin tells where the manifests come from.
	Origin stages.Origin
	// Saved are the plans of the deploy steps, if they were to be saved.
	Saved []SavedStep
	// LockChanged tells whether the lock file was written.
	LockChanged bool
	// Moves are what has moved in the lock file, if it was written.
	Moves []schema.Move
}

// mode says what is done with steps that change something outside of the workspace.
type mode int

const (
	modeRun mode = iota
	modePlan
	// modeSave is modePlan with plans of the deploy steps that can be carried out later.
	modeSave
)

// Run runs the plan's steps. It checks all of them first, stops at the first error, which is a
// [*StepError] if a step is to blame, and leaves a workspace from which a second Run goes on.
func (p *Plan) Run(ctx context.Context, opts Options) (*Report, error) {
	return p.execute(ctx, opts, modeRun)
}

// Preview finds what Run would change, and changes nothing outside of the workspace.
func (p *Plan) Preview(ctx context.Context, opts Options) (*Report, error) {
	return p.execute(ctx, opts, modePlan)
}

func (p *Plan) execute(ctx context.Context, opts Options, m mode) (*Report, error) {
	if p.Idle != "" {
		return &Report{}, &IdleError{Reason: p.Idle}
	}
	r := p.newRun(opts, m)
	_, now := r.selected()
	r.begin(now)
	err := r.finish(ctx, r.within(ctx))
	return &r.report, err
}

// within runs the steps in the workspace, which no other run uses meanwhile.
func (r *run) within(ctx context.Context) (err error) {
	if r.lock, err = readLock(r.opts.LockFile, r.opts.Locked || len(r.opts.Move) > 0); err != nil {
		return err
	}
	r.lock.Renew = r.opts.Renew
	if err := release(r.lock, r.opts.Move); err != nil {
		return err
	}
	r.ws, err = openWorkspace(ctx, r.opts.Workspace, func() {
		stages.Warn(r.events, fmt.Sprintf("waiting for another run to leave workspace %s", r.opts.Workspace))
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.ws.Close()) }()
	err = r.steps(ctx)
	r.conclude(ctx, err)
	return errors.Join(err, r.ws.writeRecord(&r.report.Record))
}

// A run is one execution of a plan.
type run struct {
	plan   *Plan
	opts   Options
	mode   mode
	began  time.Time
	secret *redactor
	found  *objects
	target stages.Target
	events observer
	ws     *workspace
	lock   *stages.Lock
	// mu guards what fetch steps, which run at the same time, have in common: the record, and gathered.
	mu sync.Mutex
	// gathered, if not nil, takes what steps have yielded, by name, instead of the run.
	gathered map[string]StepRecord
	last     *Record
	report   Report

	manifests stages.Manifests
	// rendered is the path of the file with the manifests; empty if there is none.
	rendered string
	// origin tells where the manifests come from.
	origin stages.Origin
	// overlay is what template steps have laid over the App's folder; it is never written.
	overlay *stages.Overlay
	// provisional means that a step was only planned, so that what follows isn't final.
	provisional bool
	newLock     schema.Lock
	// kept is what the lock file says of steps that were left out.
	kept schema.Lock
	// became is what later steps may know of those that were run, by name.
	became map[string]any
	// dates are those of the sources fetched so far that are from commits, by folder.
	dates map[string]time.Time
}

func (p *Plan) newRun(opts Options, m mode) *run {
	secret := p.redactor(opts)
	found := &objects{
		secrets: map[string]map[string][]byte{}, configMaps: map[string]map[string][]byte{},
		cluster: opts.Cluster, redactor: secret,
	}
	for _, s := range p.file.Secrets {
		found.secrets[s.Metadata.Name] = s.Values()
	}
	for _, c := range p.file.ConfigMaps {
		found.configMaps[c.Metadata.Name] = c.Values()
	}
	r := &run{plan: p, opts: opts, mode: m, began: time.Now(), secret: secret, found: found, events: observer{to: opts.Observer, secret: secret}, dates: map[string]time.Time{}}
	for _, value := range p.scope.secrets {
		secret.add([]byte(value))
	}
	if opts.Target != nil {
		r.target = opts.Target(p.App, found)
	}
	return r
}

// begin tells that a run of those steps starts.
func (r *run) begin(steps []Step) {
	r.events.Observe(stages.Event{Type: stages.RunStarted, Message: r.plan.App.Namespace + "/" + r.plan.App.Name, Steps: planned(steps)})
}

// planned tells of steps to come.
func planned(steps []Step) []stages.PlannedStep {
	var all []stages.PlannedStep
	for _, s := range steps {
		at := s.Pos()
		all = append(all, stages.PlannedStep{
			Name: s.Name, Stage: s.Stage, Plugin: s.Plugin.Name, File: at.File, Line: at.Line, Column: at.Column,
		})
	}
	return all
}

// conclude says in the record how the run ended.
func (r *run) conclude(ctx context.Context, err error) {
	rec := &r.report.Record
	rec.Finished = time.Now()
	switch {
	case err == nil:
		rec.Outcome = OutcomeSucceeded
	case errors.Is(ctx.Err(), context.Canceled):
		rec.Outcome, rec.Error = OutcomeCanceled, r.secret.clean(err.Error())
	default:
		rec.Outcome, rec.Error = OutcomeFailed, r.secret.clean(err.Error())
	}
}

// finish tells how the run ended, and removes secrets from the error.
func (r *run) finish(ctx context.Context, err error) error {
	r.conclude(ctx, err)
	event := stages.Event{Type: stages.RunFinished, Message: r.report.Record.Outcome, Seconds: time.Since(r.began).Seconds()}
	if err != nil {
		err = r.secret.cleanError(err)
		event.Error, event.Hint = err.Error(), stages.Hint(err)
	}
	r.events.Observe(event)
	r.cleanTranscript()
	r.report.Manifests, r.report.Origin = r.manifests, r.origin
	r.report.Images = r.newLock.Images
	return err
}

func (r *run) cleanTranscript() {
	if t := r.opts.Transcript; t != nil {
		text := r.secret.clean(t.Output.String())
		t.Output.Reset()
		t.Output.WriteString(text)
	}
}

// selected returns the steps between --from and --until, and those before them, whose results are
// taken from the workspace.
func (r *run) selected() (before, now []Step) {
	steps := r.plan.Steps
	first, last := 0, len(steps)
	if r.opts.From != "" {
		first = slices.IndexFunc(steps, func(s Step) bool { return !s.during().Before(r.opts.From) })
		if first < 0 {
			first = len(steps)
		}
	}
	if r.opts.Until != "" {
		last = 0
		for i, s := range steps {
			if !r.opts.Until.Before(s.during()) {
				last = i + 1
			}
		}
	}
	return steps[:min(first, last)], steps[min(first, last):last]
}

func (r *run) steps(ctx context.Context) error {
	r.last = r.ws.readRecord()
	if r.last.Strake != r.opts.Version {
		r.last = &Record{}
	}
	r.report.Record = Record{
		Format: recordFormat, Strake: r.opts.Version, App: r.plan.App.Namespace + "/" + r.plan.App.Name,
		Started: time.Now(), Outcome: OutcomeRunning, Steps: slices.Clone(r.last.Steps),
	}
	if err := r.keepFolders(); err != nil {
		return err
	}
	before, now := r.selected()
	for _, s := range before {
		if s.when != nil {
			s, skip, err := r.ready(s)
			if err != nil {
				return r.blame(s, err)
			}
			if skip != "" {
				if err := r.leaveOut(s); err != nil {
					return err
				}
				continue
			}
		}
		// What was verified once needn't be what is there now.
		if s.Stage == stages.Verify {
			if err := r.step(ctx, s); err != nil {
				return err
			}
			continue
		}
		if err := r.takeOver(ctx, s); err != nil {
			return r.blame(s, err)
		}
	}
	if err := r.pin(ctx, r.plan.Steps); err != nil {
		return err
	}
	if err := r.check(ctx, now); err != nil {
		return err
	}
	settled := false
	for i := 0; i < len(now); i++ {
		s := now[i]
		// Everything is resolved before the first step that uses it, or with the last step.
		if stages.Build.Before(s.Stage) && !settled {
			settled = true
			if err := r.settleLock(len(before) + i); err != nil {
				return err
			}
		}
		if n := r.fetches(now[i:]); n > 1 {
			if err := r.fetch(ctx, now[i:i+n]); err != nil {
				return err
			}
			i += n - 1
			continue
		}
		if err := r.step(ctx, s); err != nil {
			return err
		}
	}
	if !settled {
		if err := r.settleLock(len(before) + len(now)); err != nil {
			return err
		}
	}
	return nil
}

// keepFolders drops what earlier runs have fetched for sources that are no longer in the file.
func (r *run) keepFolders() error {
	var now []string
	for _, s := range r.plan.Steps {
		if s.Stage == stages.Fetch {
			now = append(now, s.Folder)
		}
	}
	slices.Sort(now)
	if err := r.ws.keepSources(r.last.folders(), now); err != nil {
		return err
	}
	return r.ws.writeRecord(&r.report.Record)
}

// takeOver takes a step's result from the workspace's last run.
func (r *run) takeOver(ctx context.Context, s Step) error {
	rec, ok := r.last.step(s.Name)
	if !ok || !r.intact(ctx, s, rec) {
		return stages.WithHint(fmt.Errorf("has no result in the workspace to go on from"),
			"run without --from first, or from an earlier stage")
	}
	r.keep(s, StatusDone, rec.Outputs)
	return r.adopt(s, rec)
}

// check lets every step that can tell beforehand that it would fail do so. All their findings are
// returned.
func (r *run) check(ctx context.Context, steps []Step) error {
	errs := make([]error, len(steps))
	var group errgroup.Group
	for i, s := range steps {
		checker, ok := s.step.(stages.Checker)
		if !ok || s.waits() || s.spec.ContinueOnError {
			continue
		}
		if _, skip, err := r.ready(s); skip != "" || err != nil {
			continue // it is left out, or fails when its turn comes
		}
		group.Go(func() error {
			if err := guard(func() error { return checker.Check(ctx, r.job(s)) }); err != nil {
				errs[i] = r.blame(s, err)
			}
			return nil
		})
	}
	_ = group.Wait() // errs holds what went wrong
	return errors.Join(errs...)
}

// pin notes the executables that steps run, before anything is run.
func (r *run) pin(ctx context.Context, steps []Step) error {
	var errs []error
	for _, s := range steps {
		pinner, ok := s.step.(stages.Pinner)
		if !ok {
			continue
		}
		pins, err := pinner.Pins(ctx, r.job(s))
		if err != nil {
			errs = append(errs, r.blame(s, err))
		}
		r.newLock.Plugins = append(r.newLock.Plugins, pins...)
	}
	return errors.Join(errs...)
}

// settleLock compares the lock with the lock file, or writes it, once the steps that resolve
// references have run. done counts the steps of the plan that have.
func (r *run) settleLock(done int) error {
	for _, s := range r.plan.Steps[done:] {
		if !stages.Build.Before(s.Stage) {
			return nil // the run ends early: the lock isn't complete
		}
	}
	r.addKept()
	r.newLock.Sort()
	if r.lock.Enforce && len(r.opts.Move) == 0 {
		if r.provisional {
			return nil // the steps themselves have refused what differs
		}
		return staleLock(r.lock.File, r.newLock)
	}
	if r.mode != modeRun || r.opts.LockFile == "" {
		return nil
	}
	changed, err := writeLock(r.opts.LockFile, r.newLock)
	r.report.LockChanged = changed
	if changed {
		r.report.Moves = r.lock.File.Moves(r.newLock)
	}
	return err
}

func (r *run) blame(s Step, err error) *StepError {
	return &StepError{Step: s.Name, Stage: s.Stage, Pos: s.Pos(), Err: err, text: err.Error()}
}

func (r *run) job(s Step) *stages.Job {
	job := &stages.Job{
		Step: s.Name, App: r.plan.App, Dir: r.opts.Dir, Local: r.localFiles(), Folder: s.Folder, Began: r.began,
		Manifests: r.manifests, Lock: r.lock, Objects: r.found, Values: r.opts.Values,
		Target: r.target, Hide: r.secret.add, SourceDates: r.dates, Transcript: r.opts.Transcript,
		Repositories: r.plan.registry, Fetched: slices.Clone(r.newLock.Sources), Resolved: slices.Clone(r.newLock.Images), Before: r.plan.before(s), Provisional: len(r.unmade()) > 0,
		Origin: r.origin, Rendered: r.rendered, Limits: r.opts.Limits, Unchanged: r.opts.Unchanged, Version: "strake " + r.opts.Version,
		Events: observer{to: r.opts.Observer, secret: r.secret, step: s.Name, stage: s.Stage},
	}
	if r.ws != nil {
		job.Temp, job.Cache = r.ws.temp, r.ws.cache
	}
	return job
}

// before lists the steps before one.
func (p *Plan) before(s Step) []stages.StepRef {
	var refs []stages.StepRef
	for _, other := range p.Steps {
		if other.Name == s.Name {
			break
		}
		refs = append(refs, stages.StepRef{Name: other.Name, Stage: other.Stage, Plugin: other.Plugin.Name, Version: other.Plugin.Version})
	}
	return refs
}

// localFiles are the files of strake's own that may lie among a local source's.
func (r *run) localFiles() []string {
	files := []string{r.opts.Workspace}
	if r.opts.LockFile != "" {
		files = append(files, r.opts.LockFile)
	}
	for i, f := range files {
		if abs, err := filepath.Abs(f); err == nil {
			files[i] = abs
		}
	}
	return files
}

// guard turns a panic of a plugin or its library into an error.
func guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = stages.WithHint(fmt.Errorf("internal error: %v", p), "this is a bug in strake or in the tool it embeds: please report it")
		}
	}()
	return f()
}
