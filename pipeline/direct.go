package pipeline

import (
	"context"
	"fmt"
	"slices"

	"strake.dev/strake/stages"
)

// Deploy runs the plan's deploy steps over manifests that were made elsewhere. It needs no workspace.
func (p *Plan) Deploy(ctx context.Context, opts Options, origin stages.Origin, manifests stages.Manifests) error {
	_, err := direct(ctx, p, opts, origin, manifests, func(ctx context.Context, s Step, job *stages.Job) (stages.Result, error) {
		return s.step.Run(ctx, job)
	})
	return err
}

// Compare tells what Deploy would change, and changes nothing.
func (p *Plan) Compare(ctx context.Context, opts Options, origin stages.Origin, manifests stages.Manifests) ([]stages.Change, error) {
	changes, err := direct(ctx, p, opts, origin, manifests, func(ctx context.Context, s Step, job *stages.Job) ([]stages.Change, error) {
		planner, ok := s.step.(stages.Planner)
		if !ok {
			return nil, fmt.Errorf("the %s plugin can't tell what it would do", s.Plugin.Name)
		}
		_, changes, err := planner.Plan(ctx, job)
		tellPlanned(job.Events, changes)
		return changes, err
	})
	return slices.Concat(changes...), err
}

// deploySteps are the plan's steps that deploy.
func (p *Plan) deploySteps() []Step {
	return slices.DeleteFunc(slices.Clone(p.Steps), func(s Step) bool { return s.Stage != stages.Deploy })
}

// tellPlanned tells of changes that were found and aren't made.
func tellPlanned(events stages.Observer, changes []stages.Change) {
	for _, c := range changes {
		events.Observe(stages.Event{Type: stages.ChangePlanned, Change: &c})
	}
}

// direct checks the deploy steps of a plan, and calls do with each of them and the manifests.
func direct[T any](ctx context.Context, p *Plan, opts Options, origin stages.Origin, manifests stages.Manifests,
	do func(context.Context, Step, *stages.Job) (T, error),
) (all []T, err error) {
	r := p.newRun(opts, modeRun)
	r.lock, r.origin, r.manifests = &stages.Lock{}, origin, manifests
	steps := p.deploySteps()
	r.begin(steps)
	defer func() { err = r.finish(ctx, err) }()
	if err := r.check(ctx, steps); err != nil {
		return nil, err
	}
	for _, s := range steps {
		job := r.job(s)
		one, err := directly(ctx, r, s, job, func(ctx context.Context) (T, error) { return do(ctx, s, job) })
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// Adopt lets the plan's deploy steps take over what another tool has deployed.
func (p *Plan) Adopt(ctx context.Context, opts Options, how stages.Adoption) ([]stages.Change, error) {
	changes, err := direct(ctx, p, opts, stages.Origin{}, nil, func(ctx context.Context, s Step, job *stages.Job) ([]stages.Change, error) {
		adopter, ok := s.step.(stages.Adopter)
		if !ok {
			return nil, fmt.Errorf("the %s plugin can't take over what others have deployed", s.Plugin.Name)
		}
		return adopter.Adopt(ctx, job, how)
	})
	return slices.Concat(changes...), err
}
