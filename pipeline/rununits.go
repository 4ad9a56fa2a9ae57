package pipeline

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"strake.dev/strake/stages"
)

// Steps are the steps of all plans, with names that are unique in the set.
func (s *Set) Steps() []Step {
	var all []Step
	for _, u := range s.Units {
		for _, step := range u.Plan.Steps {
			step.Name = u.stepName(step.Name)
			all = append(all, step)
		}
	}
	return all
}

func (u *Unit) stepName(step string) string { return path.Join(u.Name, step) }

// Run calls do for every unit of a set, at most MaxParallel at a time and none before those that it needs, with
// an observer for its run. Once one has failed no other is begun, and those that run go on. The events of all
// are told as those of one run, in which the names of steps begin with those of their units.
func (s *Set) Run(ctx context.Context, to stages.Observer, do func(context.Context, *Unit, stages.Observer) error) error {
	began := time.Now()
	tell := func(e stages.Event) {
		e.Time = time.Now()
		to.Observe(e)
	}
	tell(stages.Event{Type: stages.RunStarted, Message: s.Name, Steps: planned(s.Steps())})
	err := s.each(ctx, func(ctx context.Context, u *Unit) error {
		err := do(ctx, u, &unitObserver{to: to, unit: u})
		if err != nil && u.Name != "" {
			return fmt.Errorf("%s: %w", u.Name, err)
		}
		return err
	})
	end := stages.Event{Type: stages.RunFinished, Message: OutcomeSucceeded, Seconds: time.Since(began).Seconds()}
	switch {
	case err != nil && ctx.Err() != nil:
		end.Message = OutcomeCanceled
	case err != nil:
		end.Message = OutcomeFailed
	}
	if err != nil {
		end.Error, end.Hint = err.Error(), stages.Hint(err)
	}
	tell(end)
	return err
}

// each calls do for every unit in an order that their needs allow.
func (s *Set) each(ctx context.Context, do func(context.Context, *Unit) error) error {
	type ended struct {
		unit *Unit
		err  error
	}
	var (
		done    = map[*Unit]bool{}
		begun   = map[*Unit]bool{}
		results = make(chan ended)
		running int
		errs    []error
	)
	ready := func() *Unit {
		for _, u := range s.Units {
			if begun[u] {
				continue
			}
			waits := false
			for _, need := range u.needs {
				// One that wasn't chosen isn't waited for.
				waits = waits || slices.Contains(s.Units, need) && !done[need]
			}
			if !waits {
				return u
			}
		}
		return nil
	}
	for {
		for running < max(1, s.MaxParallel) && len(errs) == 0 && ctx.Err() == nil {
			u := ready()
			if u == nil {
				break
			}
			begun[u] = true
			running++
			go func() { results <- ended{u, do(ctx, u)} }()
		}
		if running == 0 {
			break
		}
		e := <-results
		running--
		done[e.unit] = true
		if e.err != nil {
			errs = append(errs, e.err)
		}
	}
	if len(errs) == 0 && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errors.Join(errs...)
}

// A unitObserver passes on the events of one unit's run as those of the set's.
type unitObserver struct {
	to   stages.Observer
	unit *Unit
}

func (o *unitObserver) Observe(e stages.Event) {
	if e.Type == stages.RunStarted || e.Type == stages.RunFinished {
		return
	}
	switch {
	case e.Step != "":
		e.Step = o.unit.stepName(e.Step)
	case e.Message != "" && o.unit.Name != "":
		e.Message = o.unit.Name + ": " + e.Message
	}
	o.to.Observe(e)
}
