package render

import (
	"slices"
	"sync"

	"strake.dev/strake/stages"
)

// The status of a step in a [Summary].
const (
	StatusRunning = "running"
	StatusDone    = "done"
	StatusSkipped = "skipped"
	StatusFailed  = "failed"
)

// A Step is what a [Summary] says of one step.
type Step struct {
	Name   string       `json:"name"`
	Stage  stages.Stage `json:"stage"`
	Plugin string       `json:"plugin"`
	// Status is one of running, done, skipped, failed.
	Status string `json:"status"`
	// Reason says why the step was skipped.
	Reason  string  `json:"reason,omitempty"`
	Seconds float64 `json:"seconds"`
}

// A Summary is folded from the events of a run, which it passes on, one at a time. It is safe for
// concurrent use; its fields are to be read after [Summary.Close].
type Summary struct {
	mu     sync.Mutex
	next   stages.Observer
	closed bool

	Steps    []Step
	Images   []stages.Image
	Changes  []stages.Change
	Warnings []string
	// Error and Hint are those of the run; Seconds is how long it took.
	Error, Hint string
	Seconds     float64
}

// NewSummary returns an empty summary of the events that next is told of through it.
func NewSummary(next stages.Observer) *Summary { return &Summary{next: next} }

// Observe takes in the event and passes it on.
func (s *Summary) Observe(e stages.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.fold(e)
	s.next.Observe(e)
}

// Close ends the summary: events of a step that the engine has given up on are dropped from now on.
func (s *Summary) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

func (s *Summary) fold(e stages.Event) {
	switch e.Type {
	case stages.StepStarted:
		s.Steps = append(s.Steps, Step{Name: e.Step, Stage: e.Stage, Plugin: e.Message, Status: StatusRunning})
	case stages.StepFinished, stages.StepSkipped:
		s.finish(e)
	case stages.ChangeMade:
		if e.Change != nil {
			s.Changes = append(s.Changes, *e.Change)
		}
	case stages.ImageFinal:
		if e.Image != nil {
			s.Images = append(s.Images, *e.Image)
		}
	case stages.Warning:
		s.Warnings = append(s.Warnings, e.Message)
	case stages.RunFinished:
		s.Error, s.Hint, s.Seconds = e.Error, e.Hint, e.Seconds
	}
}

func (s *Summary) finish(e stages.Event) {
	i := slices.IndexFunc(s.Steps, func(o Step) bool { return o.Name == e.Step })
	if i < 0 {
		return
	}
	step := &s.Steps[i]
	step.Seconds = e.Seconds
	switch {
	case e.Error != "":
		step.Status = StatusFailed
	case e.Type == stages.StepSkipped:
		step.Status, step.Reason = StatusSkipped, e.Message
	default:
		step.Status = StatusDone
	}
}

// Counts counts changes by their operation.
func Counts(changes []stages.Change) map[string]int {
	counts := map[string]int{}
	for _, c := range changes {
		counts[c.Op]++
	}
	return counts
}
