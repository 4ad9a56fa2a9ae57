package report

import "strake.dev/strake/stages"

// Counts are the numbers that all reports of a run agree in.
type Counts struct {
	Steps   StepCounts   `json:"steps"`
	Changes ChangeCounts `json:"changes"`
	Images  ImageCounts  `json:"images"`
	// BuildSteps are those that BuildKit has told of.
	BuildSteps BuildCounts `json:"buildSteps"`
	// Waits is how many objects were waited for.
	Waits    int `json:"waits"`
	Warnings int `json:"warnings"`
}

// StepCounts count steps by what became of them.
type StepCounts struct {
	Done    int `json:"done"`
	Skipped int `json:"skipped"`
	// Failed counts those that were cut off as well.
	Failed int `json:"failed"`
	NotRun int `json:"notRun"`
}

// ChangeCounts count changes, made or planned.
type ChangeCounts struct {
	Create    int `json:"create"`
	Update    int `json:"update"`
	Delete    int `json:"delete"`
	Unchanged int `json:"unchanged"`
	Build     int `json:"build"`
	Push      int `json:"push"`
}

// ImageCounts count images by what led to them.
type ImageCounts struct {
	Built    int `json:"built"`
	Reused   int `json:"reused"`
	Resolved int `json:"resolved"`
	Locked   int `json:"locked"`
	Kept     int `json:"kept"`
}

// BuildCounts count the steps of builds.
type BuildCounts struct {
	Done   int `json:"done"`
	Cached int `json:"cached"`
	Failed int `json:"failed"`
}

// Counts counts what the run has led to so far.
func (r *Run) Counts() Counts {
	c := Counts{Warnings: len(r.Warnings)}
	for _, s := range r.Steps {
		switch s.Status {
		case StatusDone:
			c.Steps.Done++
		case StatusSkipped:
			c.Steps.Skipped++
		default:
			c.Steps.Failed++
		}
		c.Waits += s.waits
		c.BuildSteps.Done += s.built[stages.TaskDone]
		c.BuildSteps.Cached += s.built[stages.TaskCached]
		c.BuildSteps.Failed += s.built[stages.TaskFailed] + s.built[stages.TaskRunning]
	}
	c.Steps.NotRun = len(r.NotRun())
	for _, change := range r.AllChanges() {
		c.Changes.add(change.Op)
	}
	for _, i := range r.Images {
		c.Images.add(i.Action)
	}
	return c
}

func (c *ChangeCounts) add(op string) {
	switch op {
	case "create":
		c.Create++
	case "update":
		c.Update++
	case "delete":
		c.Delete++
	case "build":
		c.Build++
	case "push":
		c.Push++
	default:
		c.Unchanged++
	}
}

// Any tells whether anything is changed, or would be.
func (c ChangeCounts) Any() bool { return c.Create+c.Update+c.Delete+c.Build+c.Push > 0 }

func (c *ImageCounts) add(action string) {
	switch action {
	case stages.ImageBuilt:
		c.Built++
	case stages.ImageReused:
		c.Reused++
	case stages.ImageResolved:
		c.Resolved++
	case stages.ImageLocked:
		c.Locked++
	default:
		c.Kept++
	}
}

// A Number is one of the counts with its name, as reports show it.
type Number struct {
	Name  string
	Value int
}

// Numbers lists the counts in the order in which reports show them. Names are of lower case letters and
// hyphens.
func (c Counts) Numbers() []Number {
	return []Number{
		{"steps-done", c.Steps.Done},
		{"steps-skipped", c.Steps.Skipped},
		{"steps-failed", c.Steps.Failed},
		{"steps-not-run", c.Steps.NotRun},
		{"create", c.Changes.Create},
		{"update", c.Changes.Update},
		{"delete", c.Changes.Delete},
		{"unchanged", c.Changes.Unchanged},
		{"build", c.Changes.Build},
		{"push", c.Changes.Push},
		{"images-built", c.Images.Built},
		{"images-reused", c.Images.Reused},
		{"images-resolved", c.Images.Resolved},
		{"images-locked", c.Images.Locked},
		{"images-kept", c.Images.Kept},
		{"build-steps-done", c.BuildSteps.Done},
		{"build-steps-cached", c.BuildSteps.Cached},
		{"build-steps-failed", c.BuildSteps.Failed},
		{"waits", c.Waits},
		{"warnings", c.Warnings},
	}
}
