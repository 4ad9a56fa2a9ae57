package pipeline

import (
	"fmt"

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

// An IdleError says that there is nothing to run, because the file asks for that.
type IdleError struct{ Reason string }

func (e *IdleError) Error() string { return "nothing to run: " + e.Reason }

// A BusyError says that another run uses the workspace.
type BusyError struct{ Workspace string }

func (e *BusyError) Error() string {
	return fmt.Sprintf("workspace %s: another run is using it", e.Workspace)
}
