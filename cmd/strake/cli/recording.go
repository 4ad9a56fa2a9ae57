package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/internal/report"
	"strake.dev/strake/stages"
)

// A recording is the events of one command: folded for its reports, printed as JSON if that is wanted, and
// kept in the workspace. Events arrive one at a time.
type recording struct {
	tool *tool
	run  report.Run
	head report.Line
	// json is where lines are printed; nil for nowhere.
	json *render.JSON
	// lines holds them for a report; nil if there is none of JSON.
	lines *bytes.Buffer
	// workspace is where the lines are kept from the first event on; empty for nowhere.
	workspace string
	log       *report.Log
	begun     bool
}

// record begins a recording of a command.
func (t *tool) record(command string, flags *outputFlags, events *render.JSON) *recording {
	r := &recording{tool: t, head: report.Line{
		Event: stages.Event{Type: report.StreamStarted}, Command: command,
		Head: &report.Head{Schema: report.Schema, Strake: t.version()},
	}}
	if flags.format.value == formatJSON {
		r.json = events
	}
	return r
}

// begin writes the first line. It may be called again.
func (r *recording) begin() {
	if r.begun {
		return
	}
	r.begun = true
	now := time.Now()
	if r.workspace != "" {
		id := report.NewID(now)
		log, err := report.OpenStore(r.workspace).Create(id)
		if err != nil {
			r.tool.warn(fmt.Sprintf("the events of the run aren't kept: %s", err))
		} else {
			r.log, r.head.Run = log, id
		}
	}
	r.head.Time = now
	r.add(r.head)
}

// add folds, prints and keeps a line. A command's own result is only printed: it may hold manifests.
func (r *recording) add(line report.Line) {
	if r.json != nil {
		r.json.Write(line)
	}
	if line.Verdict != nil {
		verdict := *line.Verdict
		verdict.Result = nil
		line.Verdict = &verdict
	}
	r.run.Add(line)
	if r.lines != nil {
		render.NewJSON(r.lines).Write(line)
	}
	if r.log != nil {
		r.log.Add(line)
	}
}

// Observe takes in an event of the engine. That a run has finished is told with the verdict.
func (r *recording) Observe(e stages.Event) {
	r.begin()
	if e.Type == stages.RunFinished {
		r.run.Observe(e)
		return
	}
	r.add(report.Line{Event: e})
}

// end writes the last line.
func (r *recording) end(ctx context.Context, err error, result printable) {
	r.workspace = "" // what has no event is no run
	r.begin()
	code := exitCode(ctx, err)
	line := report.Line{
		Event:   stages.Event{Time: time.Now(), Type: stages.RunFinished, Seconds: r.run.Seconds},
		Command: r.head.Command,
		Verdict: &report.Verdict{Outcome: outcomeOf(code, err), ExitCode: code, Counts: r.run.Counts()},
	}
	if result != nil {
		line.Result = result
	}
	if err != nil && !errors.Is(err, errPending) {
		line.Error, line.Hint = r.tool.secrets.CleanMessage(err.Error()), r.tool.secrets.CleanMessage(hintOf(err))
		line.Diagnostics = report.Diagnostics(diagnostics(err))
	}
	r.add(line)
	if r.log == nil {
		return
	}
	if err := r.log.Close(); err != nil {
		r.tool.warn(fmt.Sprintf("the events of the run aren't kept: %s", err))
	}
}

// outcomeOf says in a word how a command ended.
func outcomeOf(code int, err error) report.Outcome {
	switch {
	case err == nil:
		return report.Succeeded
	case code == exitPending:
		return report.Pending
	case code == exitTimedOut:
		return report.TimedOut
	case code > signalExit:
		return report.Interrupted
	default:
		return report.Failed
	}
}
