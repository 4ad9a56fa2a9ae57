package cli

import (
	"context"
	"errors"
	"io"
	"time"

	"strake.dev/strake/internal/render"
)

// A printable is a command's result: it is encoded as JSON, or prints itself for people.
type printable interface {
	print(w io.Writer)
}

// A verdict is the last line of every command's JSON output.
type verdict struct {
	Time time.Time `json:"time"`
	// Type is always “result”.
	Type    string `json:"type"`
	Command string `json:"command"`
	// Outcome is succeeded or failed.
	Outcome  string `json:"outcome"`
	ExitCode int    `json:"exitCode"`
	Error    string `json:"error,omitempty"`
	Hint     string `json:"hint,omitempty"`
	// Diagnostics are the problems of the file, when it is invalid.
	Diagnostics []diagnostic `json:"diagnostics,omitempty"`
	// Result is the command's own, and may be missing when it failed.
	Result any `json:"result,omitempty"`
}

type diagnostic struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Path    string `json:"path,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

const (
	outcomeSucceeded = "succeeded"
	outcomeFailed    = "failed"
)

// conclude lets a command do its work and prints the result: as the last line of JSON, or as the text
// that the result prints itself as. do returns the result so far also when it fails.
func (t *tool) conclude(ctx context.Context, command string, flags *outputFlags, do func(events *render.JSON) (printable, error)) error {
	events := render.NewJSON(t.out)
	result, err := do(events)
	if flags.format.value != formatJSON {
		if result != nil {
			result.print(t.out)
		}
		return err
	}
	v := verdict{
		Time: time.Now(), Type: "result", Command: command, Outcome: outcomeSucceeded,
		ExitCode: exitCode(ctx, err), Result: result,
	}
	if err != nil && !errors.Is(err, errPending) {
		v.Outcome, v.Error, v.Hint = outcomeFailed, err.Error(), hintOf(err)
		for _, d := range diagnostics(err) {
			v.Diagnostics = append(v.Diagnostics, diagnostic{
				File: d.Pos.File, Line: d.Pos.Line, Column: d.Pos.Column, Path: d.Path, Message: d.Msg, Hint: d.Hint,
			})
		}
	}
	events.Write(v)
	return err
}
