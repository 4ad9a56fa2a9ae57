package pipeline

import (
	"context"
	"fmt"
	"time"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// A StepError says which step failed and where it stands in the file.
type StepError struct {
	Step  string
	Stage stages.Stage
	Pos   schema.Pos
	Err   error

	text string
}

func (e *StepError) Error() string {
	if at := e.Pos.String(); at != "" {
		return fmt.Sprintf("%s (%s): %s", e.Step, at, e.text)
	}
	return e.Step + ": " + e.text
}

func (e *StepError) Unwrap() error { return e.Err }

// A TimeoutError says that a step took longer than its timeout allows.
type TimeoutError struct{ After time.Duration }

func (e *TimeoutError) Error() string { return "timed out after " + e.After.String() }

// Is lets a TimeoutError be a [context.DeadlineExceeded].
func (e *TimeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// An IdleError says that there is nothing to run, because the file asks for that.
type IdleError struct{ Reason string }

func (e *IdleError) Error() string { return "nothing to run: " + e.Reason }

// A BusyError says that another run uses the workspace.
type BusyError struct{ Workspace string }

func (e *BusyError) Error() string {
	return fmt.Sprintf("workspace %s: another run is using it", e.Workspace)
}

// An UnknownEntryError says that the lock file has no entry of a name.
type UnknownEntryError struct {
	Name string
	// Known are the entries that it has.
	Known []string
}

func (e *UnknownEntryError) Error() string {
	return fmt.Sprintf("the lock file has no entry %q", e.Name)
}
