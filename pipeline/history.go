package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"strake.dev/strake/stages"
)

// outcomeSucceeded is that of a deploy in its history.
const outcomeSucceeded = "succeeded"

// historian returns the deploy step of a name that keeps a history; without a name, the only one.
func (p *Plan) historian(name string) (Step, stages.Historian, error) {
	var found []Step
	var names []string
	for _, s := range p.Steps {
		if s.Stage != stages.Deploy {
			continue
		}
		names = append(names, s.Name)
		if name == "" || s.Name == name {
			found = append(found, s)
		}
	}
	switch {
	case len(names) == 0:
		return Step{}, nil, errors.New("there is no deploy step whose history could be shown")
	case len(found) == 0:
		return Step{}, nil, stages.WithHint(fmt.Errorf("there is no deploy step %q", name), "its deploy steps: %s", strings.Join(names, ", "))
	case len(found) > 1:
		return Step{}, nil, stages.WithHint(fmt.Errorf("there are %d deploy steps", len(found)), "name one with --step: %s", strings.Join(names, ", "))
	}
	h, ok := found[0].step.(stages.Historian)
	if !ok {
		return Step{}, nil, fmt.Errorf("the %s plugin keeps no history", found[0].Plugin.Name)
	}
	return found[0], h, nil
}

// History lists the recorded deploys of a deploy step, the latest first. Without a name it is that of the
// only one. The error wraps [stages.ErrNotDeployed] when there is none.
func (p *Plan) History(ctx context.Context, opts Options, step string) ([]stages.Revision, error) {
	s, historian, err := p.historian(step)
	if err != nil {
		return nil, err
	}
	r := p.newRun(opts, modeRun)
	r.lock = &stages.Lock{}
	defer r.cleanTranscript()
	all, err := await(ctx, s, func() ([]stages.Revision, error) { return historian.History(ctx, r.job(s)) })
	if err != nil {
		return nil, r.secret.cleanError(r.blame(s, err))
	}
	return all, nil
}

// Rollback deploys what was deployed earlier: the manifests of the revision, or if that is 0, of the
// latest one before the last deploy that succeeded. It is recorded as a new deploy. It returns what it
// has gone back to. The error wraps [stages.ErrNoRevision] if there is no such revision.
func (p *Plan) Rollback(ctx context.Context, opts Options, step string, revision int) (stages.Revision, error) {
	s, historian, err := p.historian(step)
	if err != nil {
		return stages.Revision{}, err
	}
	r := p.newRun(opts, modeRun)
	r.lock = &stages.Lock{}
	r.begin([]Step{s})
	to, err := r.rollback(ctx, s, historian, revision)
	return to, r.finish(ctx, err)
}

func (r *run) rollback(ctx context.Context, s Step, historian stages.Historian, revision int) (to stages.Revision, err error) {
	if r.ws, err = openWorkspace(ctx, r.opts.Workspace, func() {
		stages.Warn(r.events, fmt.Sprintf("waiting for another run to leave workspace %s", r.opts.Workspace))
	}); err != nil {
		return to, err
	}
	defer func() { err = errors.Join(err, r.ws.Close()) }()
	if err := r.check(ctx, []Step{s}); err != nil {
		return to, err
	}
	job := r.job(s)
	if job.Out, err = r.ws.stage(s.Name); err != nil {
		return to, err
	}
	defer func() { err = errors.Join(err, job.Out.Close()) }()
	return directly(ctx, r, s, job, func(ctx context.Context) (stages.Revision, error) {
		all, err := historian.History(ctx, job)
		if err != nil {
			return stages.Revision{}, err
		}
		to, err := target(all, revision)
		if err != nil {
			return stages.Revision{}, err
		}
		if job.Manifests, err = historian.Recall(ctx, job, to.Number); err != nil {
			return stages.Revision{}, err
		}
		job.Origin = to.Origin
		stages.Log(job.Events, fmt.Sprintf("going back to revision %d of %s", to.Number, to.Applied.UTC().Format(time.RFC3339)))
		_, err = s.step.Run(ctx, job)
		return to, err
	})
}

// target finds the revision to go back to.
func target(all []stages.Revision, number int) (stages.Revision, error) {
	at := slices.IndexFunc(all, func(r stages.Revision) bool { return r.Number == number })
	if number == 0 {
		at = slices.IndexFunc(all[min(1, len(all)):], func(r stages.Revision) bool { return r.Outcome == outcomeSucceeded && r.Kept })
		if at < 0 {
			return stages.Revision{}, fmt.Errorf("%w: no earlier deploy that succeeded is recorded", stages.ErrNoRevision)
		}
		return all[at+1], nil
	}
	if at < 0 {
		var numbers []string
		for _, r := range all {
			numbers = append(numbers, fmt.Sprint(r.Number))
		}
		return stages.Revision{}, stages.WithHint(fmt.Errorf("%w: %d", stages.ErrNoRevision, number), "recorded are: %s", strings.Join(numbers, ", "))
	}
	if !all[at].Kept {
		return stages.Revision{}, fmt.Errorf("%w: the manifests of revision %d weren't kept", stages.ErrNoRevision, number)
	}
	return all[at], nil
}
