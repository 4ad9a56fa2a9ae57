package cli

import (
	"context"
	"errors"
	"slices"
	"syscall"

	"strake.dev/strake/internal/signing"
	"strake.dev/strake/pipeline"
	"strake.dev/strake/stages"
)

// The exit codes, which are an interface.
const (
	exitDone      = 0
	exitFailed    = 1
	exitPending   = 2
	exitInvalid   = 3
	exitLock      = 4
	exitSignature = 5
	exitRefused   = 6
	exitBusy      = 7
	exitTimedOut  = 8
	exitUnsigned  = 9
)

// exitHelp documents the exit codes for users.
const exitHelp = `Exit codes:
  0  done
  1  a step failed, or the command was called wrongly
  2  changes pending (plan --detailed-exitcode, diff --exit-code)
  3  the file, or its lock file, is invalid or can't be read
  4  the lock is missing or stale (--locked)
  5  a signature is wrong: none is by a key that is required
  6  refused: the cluster is not as the plan needs it, too much would be deleted,
     a plugin is not allowed to run, or the App is paused or canceled
  7  another run is using the workspace, or deploying the app
  8  timed out
  9  a signature is required, and there is none
  130, 143  interrupted, terminated`

// errPending says that a plan has found changes. It is a verdict, not a failure, and not printed.
var errPending = errors.New("changes pending")

// exitCode maps what a command returned to the process's exit code.
func exitCode(ctx context.Context, err error) int {
	if err == nil {
		return exitDone
	}
	var (
		interrupted *signalError
		superseded  *supersededError
		stale       *stages.LockError
		busy        *pipeline.BusyError
		idle        *pipeline.IdleError
		unverified  *signing.VerifyError
		refused     *stages.RefusedError
		held        *stages.HeldError
		named       *toldError
	)
	switch {
	case errors.As(context.Cause(ctx), &interrupted):
		return interrupted.exitCode()
	case errors.As(context.Cause(ctx), &superseded):
		return signalExit + int(syscall.SIGINT)
	case errors.As(err, &named):
		return named.code
	case errors.Is(err, errPending):
		return exitPending
	case errors.As(err, &stale):
		return exitLock
	case errors.As(err, &unverified):
		if wrongSignature(err) {
			return exitSignature
		}
		return exitUnsigned
	case errors.As(err, &idle), errors.As(err, &refused):
		return exitRefused
	case errors.As(err, &busy), errors.As(err, &held):
		return exitBusy
	case errors.Is(err, context.DeadlineExceeded):
		return exitTimedOut
	case diagnostics(err) != nil:
		return exitInvalid
	default:
		return exitFailed
	}
}

// wrongSignature tells whether any of the errors that err consists of is about a wrong signature rather than
// a missing one.
func wrongSignature(err error) bool {
	if v, ok := err.(*signing.VerifyError); ok { //nolint:errorlint // what is wrapped is looked at below
		return !v.Unsigned
	}
	switch err := err.(type) { //nolint:errorlint // likewise
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(err.Unwrap(), wrongSignature)
	case interface{ Unwrap() error }:
		return wrongSignature(err.Unwrap())
	default:
		return false
	}
}
