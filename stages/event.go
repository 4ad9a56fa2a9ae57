package stages

import "time"

// An Observer learns of events in the order in which they happen. Observe returns quickly and is
// safe for concurrent use.
type Observer interface{ Observe(Event) }

// The types of events.
const (
	RunStarted   = "run-started"
	RunFinished  = "run-finished"
	StepStarted  = "step-started"
	StepFinished = "step-finished"
	StepSkipped  = "step-skipped"
	TaskUpdate   = "task"
	LogLine      = "log"
	Warning      = "warning"
	ChangeMade   = "change"
	// ChangePlanned is a change that a plan has found, and that isn't made.
	ChangePlanned = "planned"
	ImageFinal    = "image"
	// Waiting means that a deploy step is changing nothing and waits: until what it has changed is ready, and
	// then either it is done, or it makes the changes that come after that.
	Waiting = "waiting"
)

// An Event is plain data about what happens in a run. The engine fills in Time, Step and Stage.
// Secrets are removed before anybody sees it.
type Event struct {
	Time  time.Time `json:"time"`
	Type  string    `json:"type"`
	Step  string    `json:"step,omitempty"`
	Stage Stage     `json:"stage,omitempty"`
	// Message is for people: a log line, a warning, the reason of a skip.
	Message string  `json:"message,omitempty"`
	Task    *Task   `json:"task,omitempty"`
	Change  *Change `json:"change,omitempty"`
	Image   *Image  `json:"image,omitempty"`
	// Error and Hint are set where a step or a run failed.
	Error string `json:"error,omitempty"`
	Hint  string `json:"hint,omitempty"`
	// Tolerated means that the run goes on although the step has failed.
	Tolerated bool `json:"tolerated,omitempty"`
	// Seconds is how long the step or the run took.
	Seconds float64 `json:"seconds,omitempty"`
	// Steps are those that a run is going to take, told when it starts.
	Steps []PlannedStep `json:"steps,omitempty"`
}

// A PlannedStep is a step to come.
type PlannedStep struct {
	Name   string `json:"name"`
	Stage  Stage  `json:"stage"`
	Plugin string `json:"plugin"`
	// File, Line and Column are where the step stands; empty and 0 if that isn't known.
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// A Task is a piece of work inside a step that takes time: a download, a build step, a wait.
type Task struct {
	// ID is unique within the step.
	ID   string `json:"id"`
	Name string `json:"name"`
	// Kind is one of build (a step of a build), transfer, wait; empty for other work.
	Kind string `json:"kind,omitempty"`
	// State is one of running, done, cached, failed.
	State string `json:"state"`
	// Current and Total count in Unit; Total is 0 when unknown.
	Current int64  `json:"current,omitempty"`
	Total   int64  `json:"total,omitempty"`
	Unit    string `json:"unit,omitempty"`
	// Detail says what is going on at the moment, or why it failed.
	Detail string `json:"detail,omitempty"`
}

// The kinds of a Task.
const (
	TaskBuild    = "build"
	TaskTransfer = "transfer"
	TaskWait     = "wait"
)

// The states of a Task.
const (
	TaskRunning = "running"
	TaskDone    = "done"
	TaskCached  = "cached"
	TaskFailed  = "failed"
)

// A Change is something that a step has changed, or would change, outside of the workspace.
type Change struct {
	// Op is one of create, update, delete, noop, exists, build, push.
	Op string `json:"op"`
	// Kind and Name say what it is: an image and its reference, or a Kubernetes object.
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// Reason says why.
	Reason string `json:"reason,omitempty"`
	// Diff is a unified or kapp-like diff with secrets masked; it may be empty.
	Diff string `json:"diff,omitempty"`
	// Images are those of a workload that become others.
	Images []ImageChange `json:"images,omitempty"`
}

// An ImageChange is an image that an object has and the one that takes its place. One of them is empty
// where a container is new or goes.
type ImageChange struct {
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// An Image is an image reference as it was written and what it became.
type Image struct {
	// From is the reference in the manifests, To the one with digest that replaced it.
	From string `json:"from"`
	To   string `json:"to"`
	// Action is one of built, reused (built earlier from equal input), resolved, locked, kept (as it is in
	// the manifests, or was in the last run).
	Action string `json:"action"`
	// Reason says why it was built or could be reused.
	Reason string `json:"reason,omitempty"`
	// Changed names everything that led to the build: files, arguments, base images.
	Changed []string `json:"changed,omitempty"`
	// Platforms and Size are those of an image with a source, Size that of what is transferred, in
	// bytes.
	Platforms []string `json:"platforms,omitempty"`
	Size      int64    `json:"size,omitempty"`
	// Seconds is how long it took to build and push.
	Seconds float64 `json:"seconds,omitempty"`
}

// The actions that led to an Image.
const (
	ImageBuilt    = "built"
	ImageReused   = "reused"
	ImageResolved = "resolved"
	ImageLocked   = "locked"
	ImageKept     = "kept"
)

// Log tells o a line for people.
func Log(o Observer, line string) { o.Observe(Event{Type: LogLine, Message: line}) }

// Warn tells o of something that is not an error and wants attention.
func Warn(o Observer, message string) { o.Observe(Event{Type: Warning, Message: message}) }
