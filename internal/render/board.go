package render

import (
	"slices"
	"strings"
	"time"

	"strake.dev/strake/stages"
)

const (
	// liveLogs is how many of a step's last log lines are shown while it runs, and failedLogs how
	// many of them stay if it fails.
	liveLogs   = 3
	failedLogs = 20
	// notable is how long a task has to take for it to stay on the screen.
	notable = time.Second
)

// A board knows what is running, and turns events into the lines that stay.
type board struct{ steps []*stepState }

type stepState struct {
	name    string
	started time.Time
	tasks   []*taskState
	logs    []string
}

type taskState struct {
	stages.Task
	started time.Time
}

// A mark is what a line that stays begins with.
type mark int

const (
	markDone mark = iota
	markSkipped
	markFailed
	markWarning
	markDetail
	// markNone is that of lines that no event is behind.
	markNone
)

// A line is one line that stays.
type line struct {
	mark mark
	text string
}

// observe takes in an event and returns the lines that stay of it.
func (b *board) observe(e stages.Event, now time.Time) []line {
	switch e.Type {
	case stages.StepStarted:
		b.steps = append(b.steps, &stepState{name: e.Step, started: now})
	case stages.StepFinished, stages.StepSkipped:
		return b.finish(e)
	case stages.TaskUpdate:
		if s := b.step(e.Step); s != nil && e.Task != nil {
			return s.task(*e.Task, now)
		}
	case stages.LogLine:
		if s := b.step(e.Step); s != nil {
			s.logs = append(s.logs, strings.Split(Text(e.Message), "\n")...)
			s.logs = s.logs[max(0, len(s.logs)-failedLogs):]
			return nil
		}
		return []line{{markDetail, Line(e.Message)}}
	case stages.Warning:
		return []line{{markWarning, strings.TrimPrefix(Line(e.Step)+": ", ": ") + Line(e.Message)}}
	case stages.ChangeMade:
		if e.Change != nil && Pending(e.Change.Op) {
			return []line{{markDetail, Change(*e.Change)}}
		}
	case stages.ImageFinal:
		if e.Image != nil {
			return []line{{markDetail, Image(*e.Image)}}
		}
	}
	return nil
}

func (b *board) step(name string) *stepState {
	for _, s := range b.steps {
		if s.name == name {
			return s
		}
	}
	return nil
}

func (b *board) finish(e stages.Event) []line {
	var lines []line
	if s := b.step(e.Step); s != nil && e.Error != "" {
		for _, l := range s.logs {
			lines = append(lines, line{markDetail, "| " + l})
		}
	}
	b.steps = slices.DeleteFunc(b.steps, func(s *stepState) bool { return s.name == e.Step })
	m := markDone
	switch {
	case e.Error != "":
		m = markFailed
	case e.Type == stages.StepSkipped:
		m = markSkipped
	}
	return append(lines, line{m, Line(e.Step) + "  " + ended(e)})
}

func (s *stepState) task(t stages.Task, now time.Time) []line {
	i := slices.IndexFunc(s.tasks, func(o *taskState) bool { return o.ID == t.ID })
	if t.State == stages.TaskRunning {
		if i >= 0 {
			s.tasks[i].Task = t
		} else {
			s.tasks = append(s.tasks, &taskState{Task: t, started: now})
		}
		return nil
	}
	var took time.Duration
	if i >= 0 {
		took = now.Sub(s.tasks[i].started)
		s.tasks = slices.Delete(s.tasks, i, i+1)
	}
	if t.State == stages.TaskFailed || took >= notable {
		return []line{{markDetail, taskEnded(t, took)}}
	}
	return nil
}
