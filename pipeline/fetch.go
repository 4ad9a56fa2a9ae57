package pipeline

import (
	"context"
	"errors"
	"sync"

	"strake.dev/strake/stages"
)

// fetches counts the fetch steps that steps begins with, and that can run at the same time.
func (r *run) fetches(steps []Step) int {
	for i, s := range steps {
		if s.Stage != stages.Fetch || s.waits() {
			return i
		}
	}
	return len(steps)
}

// errOtherFailed ends fetch steps when one of them has failed.
var errOtherFailed = errors.New("stopped, because another source can't be fetched")

// fetchesAtOnce is how many fetch steps run at the same time.
const fetchesAtOnce = 8

// fetch runs fetch steps at the same time. The run goes on with what they yield in the order of the plan.
func (r *run) fetch(ctx context.Context, steps []Step) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.gathered = map[string]StepRecord{}
	errs := make([]error, len(steps))
	slots := make(chan struct{}, fetchesAtOnce)
	var all sync.WaitGroup
	for i, s := range steps {
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			defer func() { <-slots }()
			if errs[i] = r.step(ctx, s); errs[i] != nil {
				cancel(errOtherFailed)
			}
		})
	}
	all.Wait()
	gathered := r.gathered
	r.gathered = nil
	for _, s := range steps {
		if rec, ok := gathered[s.Name]; ok {
			r.merge(rec, nil, "")
		}
	}
	r.report.Record.sort(r.plan.Steps)
	var stopped error
	for _, err := range errs {
		switch {
		case err == nil:
		case errors.Is(err, errOtherFailed):
			stopped = err
		default:
			return err
		}
	}
	return stopped
}
