package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/internal/report"
)

// A printable is a command's result: it is encoded as JSON, or prints itself for people.
type printable interface {
	print(w io.Writer)
}

// A verdict is the only line of JSON of a command that has no run; one that has ends with a [report.Verdict].
type verdict struct {
	Time time.Time `json:"time"`
	// Type is always “result”.
	Type     string         `json:"type"`
	Command  string         `json:"command"`
	Outcome  report.Outcome `json:"outcome"`
	ExitCode int            `json:"exitCode"`
	Error    string         `json:"error,omitempty"`
	Hint     string         `json:"hint,omitempty"`
	// Diagnostics are the problems of the file, when it is invalid.
	Diagnostics []report.Diagnostic `json:"diagnostics,omitempty"`
	// Result is the command's own, and may be missing when it failed.
	Result any `json:"result,omitempty"`
}

// A document is a result that prints itself as data for other programs, not for people.
type document interface{ document() }

// conclude lets a command do its work and prints the result: as the last line of JSON, or as the text
// that the result prints itself as. do returns the result so far also when it fails. Then the reports are
// written.
func (t *tool) conclude(ctx context.Context, command string, flags *outputFlags, do func(events *render.JSON) (printable, error)) error {
	events := render.NewJSON(t.out)
	if flags.lasting != nil && flags.lasting.json != nil {
		events = flags.lasting.json
	}
	if !flags.records {
		result, err := do(events)
		if flags.format.value == formatJSON {
			events.Write(lastLine(ctx, command, result, err))
		} else {
			t.printResult(result)
		}
		return err
	}
	flags.recording = t.record(command, flags, events)
	files, err := t.reportFiles(flags.reports)
	if slices.ContainsFunc(files, func(f reportFile) bool { return f.write == nil }) {
		flags.recording.lines = &bytes.Buffer{}
	}
	var result printable
	if err == nil {
		result, err = guard(func() (printable, error) { return do(events) })
	}
	if flags.format.value != formatJSON {
		t.printResult(result)
	}
	flags.recording.end(ctx, err, result)
	return unwritten(err, t.writeReports(files, flags))
}

// unwritten adds to how a command ended that reports couldn't be written. That is a failure, too.
func unwritten(err, reports error) error {
	if reports != nil && errors.Is(err, errPending) {
		return reports
	}
	if reports == nil {
		return err
	}
	return errors.Join(err, reports)
}

func (t *tool) printResult(result printable) {
	if result == nil {
		return
	}
	if _, ok := result.(document); ok {
		result.print(t.out)
		return
	}
	var out bytes.Buffer
	result.print(&out)
	_, _ = t.harmless(t.out).Write(out.Bytes()) // noticed at the end of the command
}

func lastLine(ctx context.Context, command string, result printable, err error) verdict {
	v := verdict{Time: time.Now(), Type: "result", Command: command, ExitCode: exitCode(ctx, err), Result: result}
	v.Outcome = outcomeOf(v.ExitCode, err)
	if err != nil && !errors.Is(err, errPending) {
		v.Error, v.Hint, v.Diagnostics = err.Error(), hintOf(err), report.Diagnostics(diagnostics(err))
	}
	return v
}
