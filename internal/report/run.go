package report

import (
	"slices"
	"time"

	"strake.dev/strake/stages"
)

// A Run is what the events of a run say. It isn't safe for concurrent use: the events of a run arrive one
// at a time.
type Run struct {
	Head
	// Command is that of strake, and App what it was for: namespace/name, empty if the file is invalid.
	Command, App string
	// Started and Finished are the times of the first and of the latest event.
	Started, Finished time.Time
	// Planned are the steps that were to be taken, and Steps those that were begun.
	Planned []stages.PlannedStep
	Steps   []Step
	Images  []stages.Image
	// Changes are those that were made, and PlannedChanges those that a plan has found.
	Changes, PlannedChanges []stages.Change
	Warnings                []Warning
	// Error and Hint are those of the run; Seconds is how long it took.
	Error, Hint string
	Seconds     float64
	// Verdict says how it ended. Before the last line it is empty.
	Verdict Verdict

	// at finds steps and images.
	at map[string]int
}

// A Warning is something that wants attention.
type Warning struct{ Step, Message string }

// The status of a step.
const (
	StatusRunning = "running"
	StatusDone    = "done"
	StatusSkipped = "skipped"
	StatusFailed  = "failed"
)

// Outcome says how the run ended.
func (r *Run) Outcome() Outcome {
	if r.Verdict.Outcome == "" {
		return Unfinished
	}
	return r.Verdict.Outcome
}

// Add takes in a line.
func (r *Run) Add(line Line) {
	if line.Head != nil {
		r.Head = *line.Head
	}
	if line.Command != "" {
		r.Command = line.Command
	}
	r.Observe(line.Event)
	if line.Verdict != nil {
		r.Verdict = *line.Verdict
	}
}

// Observe takes in an event.
func (r *Run) Observe(e stages.Event) {
	if r.Started.IsZero() {
		r.Started = e.Time
	}
	r.Finished = e.Time
	switch e.Type {
	case stages.RunStarted:
		r.App, r.Planned = e.Message, append(r.Planned, e.Steps...)
	case stages.StepStarted:
		r.index("step", e.Step, len(r.Steps))
		r.Steps = append(r.Steps, Step{Name: e.Step, Stage: e.Stage, Plugin: e.Message, Status: StatusRunning, Began: e.Time})
	case stages.ChangeMade:
		if e.Change != nil {
			r.Changes = append(r.Changes, *e.Change)
		}
	case stages.ChangePlanned:
		if e.Change != nil {
			r.PlannedChanges = append(r.PlannedChanges, *e.Change)
		}
	case stages.ImageFinal:
		if e.Image != nil {
			r.image(*e.Image)
		}
	case stages.Warning:
		r.Warnings = append(r.Warnings, Warning{e.Step, e.Message})
	case stages.RunFinished:
		r.Error, r.Hint = e.Error, e.Hint
		r.Seconds = max(r.Seconds, e.Seconds)
	}
	if i, ok := r.at["step\x00"+e.Step]; ok {
		r.Steps[i].observe(e)
	}
}

func (r *Run) index(kind, name string, i int) {
	if r.at == nil {
		r.at = map[string]int{}
	}
	r.at[kind+"\x00"+name] = i
}

// image keeps what was said last of an image.
func (r *Run) image(image stages.Image) {
	if i, ok := r.at["image\x00"+image.From]; ok {
		r.Images[i] = image
		return
	}
	r.index("image", image.From, len(r.Images))
	r.Images = append(r.Images, image)
}

// AllChanges are those that were made, and those that were planned.
func (r *Run) AllChanges() []stages.Change { return slices.Concat(r.Changes, r.PlannedChanges) }

// NotRun are the steps that the run didn't come to.
func (r *Run) NotRun() []stages.PlannedStep {
	return slices.DeleteFunc(slices.Clone(r.Planned), func(p stages.PlannedStep) bool {
		_, begun := r.at["step\x00"+p.Name]
		return begun
	})
}

// Place is where a step stands in its file.
func (r *Run) Place(step string) (stages.PlannedStep, bool) {
	i := slices.IndexFunc(r.Planned, func(p stages.PlannedStep) bool { return p.Name == step })
	if i < 0 {
		return stages.PlannedStep{}, false
	}
	return r.Planned[i], r.Planned[i].File != ""
}

// FailedStep is the step that the run failed with; nil if there is none.
func (r *Run) FailedStep() *Step {
	i := slices.IndexFunc(r.Steps, func(s Step) bool { return s.Status == StatusFailed && !s.Tolerated })
	if i < 0 {
		return nil
	}
	return &r.Steps[i]
}
