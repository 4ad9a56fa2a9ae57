package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"strake.dev/strake/stages"
)

// A WatchedStep is a step together with what it depends on outside of the workspace.
type WatchedStep struct {
	Step string
	stages.Watched
}

// Watches tells what the steps that Run would take depend on. It asks no remote.
func (p *Plan) Watches(opts Options) ([]WatchedStep, error) {
	r := p.newRun(quietly(opts), modePlan)
	var err error
	if r.lock, err = readLock(opts.LockFile, opts.Locked); err != nil {
		return nil, err
	}
	_, now := r.selected()
	var all []WatchedStep
	for _, s := range now {
		watched, err := r.watches(s)
		if err != nil {
			return nil, r.secret.cleanError(r.blame(s, err))
		}
		if len(watched.Paths)+len(watched.References) > 0 {
			all = append(all, WatchedStep{Step: s.Name, Watched: watched})
		}
	}
	return all, nil
}

func (r *run) watches(s Step) (watched stages.Watched, err error) {
	watcher, ok := s.step.(stages.Watcher)
	if !ok {
		return stages.Watched{}, nil
	}
	err = guard(func() (err error) {
		watched, err = watcher.Watches(r.job(s))
		return err
	})
	return watched, err
}

// Moved asks what mutable references lead to now, and returns the names of the steps for which that is
// something else than in the last run. It changes nothing, in the workspace either, and waits for its turn
// there as Run does. Steps whose references can't be asked are left out, and are in the error.
func (p *Plan) Moved(ctx context.Context, opts Options) (moved []string, err error) {
	r := p.newRun(quietly(opts), modePlan)
	if r.lock, err = readLock(opts.LockFile, opts.Locked); err != nil {
		return nil, err
	}
	if r.ws, err = openWorkspace(ctx, opts.Workspace, func() {}); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.ws.Close()) }()
	if r.last = r.ws.readRecord(); r.last.Strake != opts.Version {
		return nil, nil
	}
	_, now := r.selected()
	var errs []error
	for _, s := range r.plan.Steps {
		last, done := r.last.step(s.Name)
		if slices.ContainsFunc(now, func(n Step) bool { return n.Name == s.Name }) {
			is, err := r.moved(ctx, s, last)
			if err != nil {
				errs = append(errs, r.secret.cleanError(r.blame(s, err)))
			}
			if is {
				moved = append(moved, s.Name)
			}
		}
		switch {
		case !done && s.Stage == stages.Fetch:
			continue
		case !done, stages.Build.Before(s.Stage):
			return moved, errors.Join(errs...) // what comes after it has nothing to start from
		}
		if err := r.adopt(s, last); err != nil {
			return nil, r.secret.cleanError(r.blame(s, err))
		}
	}
	return moved, errors.Join(errs...)
}

// moved tells whether a step's references lead to something else than in the last run.
func (r *run) moved(ctx context.Context, s Step, last StepRecord) (is bool, err error) {
	if watched, err := r.watches(s); err != nil || len(watched.References) == 0 {
		return false, err
	}
	sources, err := r.ws.open(sourcesDir)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, sources.Close()) }()
	sources.Sums = r.ws.sums
	job := r.job(s)
	job.Sources = sources
	if _, ok := s.step.(stages.Keyer); ok {
		key, err := r.key(ctx, s, job)
		return key != "" && key != last.Key, err
	}
	// What it would make of what is there now says something only if the last run has come so far.
	planner, ok := s.step.(stages.Planner)
	if !ok || r.last.Outcome != OutcomeSucceeded {
		return false, nil
	}
	if job.Out, err = r.ws.stage(s.Name); err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, job.Out.Close()) }()
	o, err := await(ctx, s, func() (o outcome, err error) {
		o.result, o.changes, err = planner.Plan(ctx, job)
		return o, err
	})
	if err != nil {
		return false, fmt.Errorf("%s can't be looked at: %w", s.Plugin.Name, err)
	}
	return o.result.Manifests != nil && o.result.Manifests.Digest() != last.Output, nil
}

// quietly are options whose events nobody learns of.
func quietly(opts Options) Options {
	opts.Observer = nobody{}
	return opts
}

type nobody struct{}

func (nobody) Observe(stages.Event) {}
