package sandbox

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// A step is one thing that up does, after others.
type step struct {
	name  string
	after []string
	run   func(context.Context) error
}

// runSteps runs each step as soon as those that it comes after are done. The first error stops all,
// and is returned with the step's name.
func runSteps(ctx context.Context, steps []step) error {
	done := make(map[string]chan struct{}, len(steps))
	for _, s := range steps {
		done[s.name] = make(chan struct{})
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range steps {
		group.Go(func() error {
			for _, before := range s.after {
				ch, known := done[before]
				if !known {
					return fmt.Errorf("%s comes after %s, which is not part of this", s.name, before)
				}
				select {
				case <-ctx.Done():
					return context.Cause(ctx)
				case <-ch:
				}
			}
			if err := s.run(ctx); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			close(done[s.name])
			return nil
		})
	}
	return group.Wait()
}
