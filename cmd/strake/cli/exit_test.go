package cli

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"strake.dev/strake/internal/signing"
	"strake.dev/strake/pipeline"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

func TestExitCode(t *testing.T) {
	problem := schema.Diagnostics{{Msg: "bad"}}
	step := func(err error) error { return fmt.Errorf("clean: %w", &pipeline.StepError{Step: "s", Err: err}) }
	for name, test := range map[string]struct {
		err  error
		want int
	}{
		"none":                   {nil, 0},
		"any":                    {errors.New("x"), 1},
		"step":                   {step(errors.New("x")), 1},
		"pending":                {errPending, 2},
		"invalid":                {problem, 3},
		"one problem":            {problem[0], 3},
		"problem found by a run": {step(problem), 1},
		"lock":                   {errors.Join(errors.New("x"), &stages.LockError{}), 4},
		"lock in a step":         {step(stages.WithHint(&stages.LockError{}, "h")), 4},
		"idle":                   {&pipeline.IdleError{}, 6},
		"busy":                   {&pipeline.BusyError{}, 7},
		"timed out":              {step(fmt.Errorf("x: %w", context.DeadlineExceeded)), 8},
		"wrong signature":        {step(stages.WithHint(&signing.VerifyError{}, "h")), 5},
		"unsigned":               {step(&signing.VerifyError{Unsigned: true}), 9},
		"both":                   {step(errors.Join(&signing.VerifyError{Unsigned: true}, &signing.VerifyError{})), 5},
		"own timeout":            {step(&timeoutError{time.Second}), 8},
	} {
		t.Run(name, func(t *testing.T) {
			if got := exitCode(t.Context(), test.err); got != test.want {
				t.Errorf("exit code %d, want %d", got, test.want)
			}
			if test.err == nil {
				return
			}
			for sig, want := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143, syscall.SIGHUP: 129} {
				ctx, cancel := context.WithCancelCause(t.Context())
				cancel(&signalError{sig})
				if got := exitCode(ctx, test.err); got != want {
					t.Errorf("exit code %d after %s, want %d", got, sig, want)
				}
			}
		})
	}
}
