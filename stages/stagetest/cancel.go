package stagetest

import (
	"context"
	"errors"
	"time"

	"strake.dev/strake/stages"
)

const (
	// soon is how long a Run may take to return once its context has ended. It is long enough for a
	// busy machine, and short next to what people take for a hang.
	soon = 5 * time.Second
	// shortWork is when a Run is cancelled that says nothing before.
	shortWork = 2 * time.Millisecond
)

// cancelBefore runs the step with a context that has ended already.
func (s *scene) cancelBefore(step stages.Step) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	cancel()
	s.in("Run with a cancelled context", func(job *stages.Job) error {
		began := time.Now()
		_, err := step.Run(ctx, job)
		if !errors.Is(err, context.Canceled) {
			s.t.Errorf("Run with a cancelled context: expected an error that wraps context.Canceled, found %v", err)
		}
		if took := time.Since(began); took > soon {
			s.t.Errorf("Run with a cancelled context: took %v, expected less than %v", took, soon)
		}
		return err
	})
}

// cancelWhile cancels the step at its first event, or after a moment. It may have finished by then.
func (s *scene) cancelWhile(step stages.Step) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	s.in("Run that is cancelled", func(job *stages.Job) error {
		began := make(chan time.Time, 1)
		stop := func() {
			cancel()
			select {
			case began <- time.Now():
			default:
			}
		}
		Recorded(job).first = stop
		timer := time.AfterFunc(shortWork, stop)
		defer timer.Stop()
		_, err := step.Run(ctx, job)
		if err != nil && !errors.Is(err, context.Canceled) {
			s.t.Errorf("Run that is cancelled: expected success or an error that wraps context.Canceled, found %v", err)
		}
		select {
		case at := <-began:
			if took := time.Since(at); took > soon {
				s.t.Errorf("Run that is cancelled: took %v to end, expected less than %v", took, soon)
			}
		default:
		}
		return err
	})
}
