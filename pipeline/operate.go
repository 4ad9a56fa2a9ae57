package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"strake.dev/strake/stages"
)

// Delete removes what the plan's deploy steps have made, the last one first. It needs no workspace,
// and removing what isn't there is not an error. Executables have to be those of the lock.
func (p *Plan) Delete(ctx context.Context, opts Options) (err error) {
	r := p.newRun(opts, modeRun)
	steps := p.deploySteps()
	r.lock = &stages.Lock{}
	// What pins nothing can be deleted whatever became of the lock.
	if slices.ContainsFunc(steps, func(s Step) bool { _, ok := s.step.(stages.Pinner); return ok }) {
		if r.lock, err = readLock(opts.LockFile, opts.Locked); err != nil {
			return err
		}
	}
	r.begin(steps)
	if err = r.pin(ctx, steps); err == nil {
		err = r.delete(ctx)
	}
	return r.finish(ctx, err)
}

func (r *run) delete(ctx context.Context) error {
	for _, s := range slices.Backward(r.plan.Steps) {
		if s.Stage != stages.Deploy {
			continue
		}
		deleter, ok := s.step.(stages.Deleter)
		if !ok {
			return r.blame(s, fmt.Errorf("the %s plugin can't delete what it has deployed", s.Plugin.Name))
		}
		job := r.job(s)
		started := time.Now()
		job.Events.Observe(stages.Event{Type: stages.StepStarted, Message: s.Plugin.Name})
		err := guard(func() error { return deleter.Delete(ctx, job) })
		event := stages.Event{Type: stages.StepFinished, Seconds: time.Since(started).Seconds()}
		if err != nil {
			event.Error, event.Hint = err.Error(), stages.Hint(err)
		}
		job.Events.Observe(event)
		if err != nil {
			return r.blame(s, err)
		}
	}
	return nil
}

// Inspect tells what the plan's deploy steps have made, and its state. The error wraps
// [stages.ErrNotDeployed] when there is nothing.
func (p *Plan) Inspect(ctx context.Context, opts Options) ([]stages.Object, error) {
	r := p.newRun(opts, modeRun)
	r.lock = &stages.Lock{}
	defer r.cleanTranscript()
	var objects []stages.Object
	deploys := 0
	for _, s := range p.Steps {
		inspector, ok := s.step.(stages.Inspector)
		if s.Stage != stages.Deploy || !ok {
			continue
		}
		deploys++
		err := guard(func() error {
			found, err := inspector.Inspect(ctx, r.job(s))
			objects = append(objects, found...)
			return err
		})
		if err != nil {
			return nil, r.secret.cleanError(r.blame(s, err))
		}
	}
	if deploys == 0 {
		return nil, errors.New("the App has no deploy step whose objects could be inspected")
	}
	return objects, nil
}
