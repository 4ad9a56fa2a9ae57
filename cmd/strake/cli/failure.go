package cli

import (
	"errors"
	"fmt"
	"strings"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/pipeline"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// A runError is the error of a run as the engine has told it: without secrets, also in the hint.
type runError struct {
	err  error
	hint string
}

func (e *runError) Error() string { return e.err.Error() }

func (e *runError) Unwrap() error { return e.err }

// hintOf returns the advice that belongs to an error.
func hintOf(err error) string {
	if run, ok := errors.AsType[*runError](err); ok {
		return run.hint
	}
	return stages.Hint(err)
}

// printError prints an error and its hint. Problems of a file are printed as they are, one a line,
// in the form that editors understand.
func (t *tool) printError(err error) {
	if _, told := errors.AsType[*toldError](err); told || err == nil || errors.Is(err, errPending) {
		return
	}
	out := t.harmless(t.err)
	text := strings.TrimRight(render.Text(t.secrets.CleanMessage(err.Error())), "\n")
	if diagnostics(err) != nil {
		fmt.Fprintln(out, text)
		return
	}
	fmt.Fprintf(out, "strake: %s\n", text)
	if hint := hintOf(err); hint != "" {
		fmt.Fprintf(out, "  hint: %s\n", strings.ReplaceAll(render.Text(t.secrets.CleanMessage(hint)), "\n", "\n        "))
	}
	if usage, ok := errors.AsType[*usageError](err); ok {
		fmt.Fprintf(out, "  usage: %s\n", t.secrets.Clean(usage.line))
	}
}

// diagnostics returns the problems of a file that an error consists of. Those that a step has found
// while it ran are its failure, and not the file's.
func diagnostics(err error) schema.Diagnostics {
	var (
		step *pipeline.StepError
		many schema.Diagnostics
		one  schema.Diagnostic
	)
	switch {
	case errors.As(err, &step):
		return nil
	case errors.As(err, &many):
		return many
	case errors.As(err, &one):
		return schema.Diagnostics{one}
	default:
		return nil
	}
}
