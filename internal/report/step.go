package report

import (
	"strings"
	"time"

	"strake.dev/strake/stages"
)

const (
	// keptLogs is how many of its last log lines are kept of a step at least.
	keptLogs = 2000
)

// A Step is one step of a run that was begun. Its JSON is part of the results of commands.
type Step struct {
	Name   string       `json:"name"`
	Stage  stages.Stage `json:"stage"`
	Plugin string       `json:"plugin"`
	// Status is one of running, done, skipped, failed.
	Status string `json:"status"`
	// Reason says why the step was skipped.
	Reason  string  `json:"reason,omitempty"`
	Seconds float64 `json:"seconds"`
	// Error and Hint say why it failed.
	Error string `json:"-"`
	Hint  string `json:"-"`
	// Tolerated means that the run went on although it failed.
	Tolerated bool      `json:"tolerated,omitempty"`
	Began     time.Time `json:"-"`
	// Ended is zero while it runs.
	Ended time.Time `json:"-"`
	// Tasks are the steps of builds, the waits and the other work of the step, without transfers of single
	// layers.
	Tasks []Task `json:"-"`
	// Logs are the last lines that were logged, and Omitted is how many there were before them.
	Logs    []string `json:"-"`
	Omitted int      `json:"-"`

	tasks map[string]int
	// waits counts the objects that were waited for, and built the steps of builds, by state.
	waits int
	built map[string]int
}

// A Task is a piece of work inside a step.
type Task struct {
	Name, Kind string
	// State is that of a [stages.Task], and Detail why it failed.
	State, Detail string
	Began         time.Time
	// Ended is zero while it runs.
	Ended time.Time
}

func (s *Step) observe(e stages.Event) {
	switch e.Type {
	case stages.TaskUpdate:
		if e.Task != nil {
			s.task(*e.Task, e.Time)
		}
	case stages.LogLine:
		s.log(e.Message)
	case stages.StepFinished, stages.StepSkipped:
		s.Seconds, s.Ended = e.Seconds, e.Time
		switch {
		case e.Error != "":
			s.Status, s.Error, s.Hint, s.Tolerated = StatusFailed, e.Error, e.Hint, e.Tolerated
		case e.Type == stages.StepSkipped:
			s.Status, s.Reason = StatusSkipped, e.Message
		default:
			s.Status = StatusDone
		}
	}
}

func (s *Step) task(t stages.Task, now time.Time) {
	if t.Kind == stages.TaskTransfer && t.State != stages.TaskFailed {
		return
	}
	if s.tasks == nil {
		s.tasks, s.built = map[string]int{}, map[string]int{}
	}
	i, known := s.tasks[t.ID]
	if !known {
		i = len(s.Tasks)
		s.tasks[t.ID] = i
		s.Tasks = append(s.Tasks, Task{Began: now})
		if t.Kind == stages.TaskWait {
			s.waits++
		}
	}
	task := &s.Tasks[i]
	if t.Kind == stages.TaskBuild {
		if known {
			s.built[task.State]--
		}
		s.built[t.State]++
	}
	task.Name, task.Kind, task.State = t.Name, t.Kind, t.State
	if t.Detail != "" {
		task.Detail = t.Detail // why something wasn't ready is worth knowing when it is
	}
	task.Ended = time.Time{}
	if t.State != stages.TaskRunning {
		task.Ended = now
	}
}

func (s *Step) log(message string) {
	for line := range strings.SplitSeq(message, "\n") {
		s.Logs = append(s.Logs, line)
	}
	// The slice is moved only now and then.
	if over := len(s.Logs) - 2*keptLogs; over >= 0 {
		s.trim()
	}
}

func (s *Step) trim() {
	if over := len(s.Logs) - keptLogs; over > 0 {
		s.Omitted += over
		s.Logs = append(s.Logs[:0], s.Logs[over:]...)
	}
}

// Tail returns the last n log lines, and how many there were before them.
func (s *Step) Tail(n int) (lines []string, before int) {
	from := max(0, len(s.Logs)-n)
	return s.Logs[from:], s.Omitted + from
}

// Took is how long a task took, until now for one that hasn't ended.
func (t Task) Took(now time.Time) time.Duration {
	if !t.Ended.IsZero() {
		now = t.Ended
	}
	return max(0, now.Sub(t.Began))
}
