package html

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/internal/report"
	"strake.dev/strake/stages"
)

const (
	// maxBars is how many tasks of a step are shown: those that took longest.
	maxBars = 40
	// wide is the width of the whole run in the units of the drawing.
	wide = 1000
	// thin is the least width of a bar, so that it can be seen.
	thin = 2
)

// A timeline shows when each step and what it consists of began and ended.
type timeline struct {
	Rows  []row
	Ticks []tick
}

type row struct {
	Name, Note string
	// Class is the status of a step, or the kind and the state of a task.
	Class string
	// Stage is set for steps.
	Stage string
	// X and Width are those of the bar.
	X, Width int
	Took     string
	// Omitted counts the tasks of a step that aren't shown.
	Omitted int
}

type tick struct {
	X    int
	Text string
}

func newTimeline(run *report.Run) timeline {
	var t timeline
	whole := max(run.Finished.Sub(run.Started), time.Millisecond)
	scale := func(at time.Time) int { return int(min(max(at.Sub(run.Started), 0), whole) * wide / whole) }
	bar := func(r row, began, ended time.Time) row {
		if ended.IsZero() {
			ended = run.Finished
		}
		r.X = min(scale(began), wide-thin)
		r.Width = max(scale(ended)-r.X, thin)
		r.Took = render.Seconds(max(0, ended.Sub(began)))
		return r
	}
	for _, s := range run.Steps {
		note := ""
		if s.Status == report.StatusSkipped {
			note = render.Line(s.Reason)
		}
		tasks, omitted := longest(s, run.Finished)
		t.Rows = append(t.Rows, bar(row{Name: render.Line(s.Name), Stage: render.Line(string(s.Stage)), Class: s.Status, Note: note, Omitted: omitted}, s.Began, s.Ended))
		for _, task := range tasks {
			end := cmp.Or(task.Ended, s.Ended)
			t.Rows = append(t.Rows, bar(row{Name: render.Line(task.Name), Class: class(task), Note: render.Line(task.Detail)}, task.Began, end))
		}
	}
	for _, p := range run.NotRun() {
		t.Rows = append(t.Rows, row{Name: render.Line(p.Name), Stage: render.Line(string(p.Stage)), Class: "not-run", Note: "not run"})
	}
	const parts = 4
	for i := range parts + 1 {
		t.Ticks = append(t.Ticks, tick{X: i * wide / parts, Text: render.Seconds(whole * time.Duration(i) / parts)})
	}
	return t
}

// longest returns the tasks of a step that took longest, in the order in which they began, and how many
// others there are. Those that failed are among them.
func longest(s report.Step, now time.Time) (tasks []report.Task, omitted int) {
	if len(s.Tasks) <= maxBars {
		return s.Tasks, 0
	}
	weight := func(t report.Task) time.Duration {
		if t.State == stages.TaskFailed {
			return now.Sub(s.Began) + t.Took(now)
		}
		return t.Took(now)
	}
	order := make([]int, len(s.Tasks))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(weight(s.Tasks[b]), weight(s.Tasks[a])) })
	order = order[:maxBars]
	slices.Sort(order)
	for _, i := range order {
		tasks = append(tasks, s.Tasks[i])
	}
	return tasks, len(s.Tasks) - len(tasks)
}

// class says what a task is, in words of this package.
func class(t report.Task) string {
	kind, state := "task", "running"
	switch t.Kind {
	case stages.TaskBuild, stages.TaskWait, stages.TaskTransfer:
		kind = t.Kind
	}
	switch t.State {
	case stages.TaskDone, stages.TaskCached, stages.TaskFailed:
		state = t.State
	}
	return fmt.Sprintf("%s %s", kind, state)
}
