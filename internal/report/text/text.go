// Package text renders a run as lines for people, as a log of the run would have them in the end.
package text

import (
	"fmt"
	"io"
	"strings"
	"time"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/internal/report"
	"strake.dev/strake/stages"
)

const (
	// notable is how long a task must have taken for it to be told of, if it hasn't failed.
	notable = time.Second
	// maxLogs is how many of the last log lines of a step that has failed are told.
	maxLogs = 50
)

// Plain has no groups.
func Plain() render.Groups {
	none := func(string) string { return "" }
	return render.Groups{Open: none, Close: none, Escape: func(line string) string { return line }}
}

// Write writes the report, with the lines of each step in a group.
func Write(w io.Writer, run *report.Run, groups render.Groups) error {
	var out strings.Builder
	line := func(format string, args ...any) {
		out.WriteString(render.EscapeLines(fmt.Sprintf(format, args...), groups.Escape) + "\n")
	}
	line("strake %s: %s", render.Line(run.Command), Headline(run))
	for _, s := range run.Steps {
		if lines := details(s); len(lines) > 0 {
			out.WriteString(groups.Open(s.Name))
			for _, l := range lines {
				line("  %s", l)
			}
			out.WriteString(groups.Close(s.Name))
		}
		line("%s  %s", render.Line(s.Name), How(s))
	}
	for _, p := range run.NotRun() {
		line("%s  not run", render.Line(p.Name))
	}
	for _, i := range run.Images {
		line("%s", render.Image(i))
	}
	for _, c := range run.AllChanges() {
		if render.Pending(c.Op) {
			line("%s", render.Change(c))
		}
	}
	for _, w := range run.Warnings {
		line("warning: %s", strings.TrimPrefix(render.Line(w.Step)+": ", ": ")+render.Line(w.Message))
	}
	line("%s", Totals(run.Counts()))
	for l := range strings.SplitSeq(render.Text(run.Error), "\n") {
		if l != "" {
			line("error: %s", l)
		}
	}
	if run.Hint != "" {
		line("hint: %s", render.Line(run.Hint))
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// Headline says for what the run was, how it ended, and when.
func Headline(run *report.Run) string {
	text := string(run.Outcome())
	if run.App != "" {
		text = render.Line(run.App) + " " + text
	}
	return fmt.Sprintf("%s (exit code %d) after %s, %s", text, run.Verdict.ExitCode, took(run.Seconds), run.Started.UTC().Format(time.RFC3339))
}

// How says how a step ended.
func How(s report.Step) string {
	switch s.Status {
	case report.StatusSkipped:
		return "skipped: " + render.Line(s.Reason)
	case report.StatusFailed:
		return "failed after " + took(s.Seconds)
	case report.StatusRunning:
		return "cut off"
	default:
		return "done in " + took(s.Seconds)
	}
}

// Totals are the counts that aren't 0, as one line.
func Totals(c report.Counts) string {
	var parts []string
	for _, n := range c.Numbers() {
		if n.Value > 0 {
			parts = append(parts, fmt.Sprintf("%s=%d", n.Name, n.Value))
		}
	}
	if len(parts) == 0 {
		return "counts: none"
	}
	return "counts: " + strings.Join(parts, " ")
}

func details(s report.Step) []string {
	var lines []string
	for _, t := range s.Tasks {
		if t.State != stages.TaskFailed && t.Took(s.Ended) < notable {
			continue
		}
		text := fmt.Sprintf("%s: %s in %s", render.Line(t.Name), t.State, render.Seconds(t.Took(s.Ended)))
		if t.State == stages.TaskFailed && t.Detail != "" {
			text += ": " + render.Line(t.Detail)
		}
		lines = append(lines, text)
	}
	if s.Status == report.StatusFailed || s.Status == report.StatusRunning {
		logs, before := s.Tail(maxLogs)
		if before > 0 {
			lines = append(lines, fmt.Sprintf("| (%d lines before)", before))
		}
		for _, l := range logs {
			lines = append(lines, "| "+render.Line(l))
		}
	}
	return lines
}

func took(seconds float64) string {
	return render.Seconds(time.Duration(seconds * float64(time.Second)))
}
