package protocol

import "encoding/json"

// V1 is the protocol that this package describes.
const V1 = "strake.dev/plugin/v1"

// A HostMessage is one line that strake sends. One of the fields is set.
type HostMessage struct {
	Hello   *HostHello `json:"hello,omitempty"`
	Request *Request   `json:"request,omitempty"`
}

// A HostHello is the first line of strake.
type HostHello struct {
	// Protocols are those that strake speaks, the best first.
	Protocols []string `json:"protocols"`
	// Strake names strake and its version.
	Strake string `json:"strake"`
}

// The operations of a request.
const (
	// Run does the work of the step.
	Run = "run"
	// Plan tells by changes what Run would change outside of the workspace, and changes nothing.
	Plan = "plan"
	// Key tells what the result depends on beyond what strake counts by itself.
	Key = "key"
	// Check fails if Run is going to, before any step has run. It sees no sources and no manifests.
	Check = "check"
	// Delete removes what Run has made outside of the workspace.
	Delete = "delete"
)

// A Request asks for one operation.
type Request struct {
	// Op is one of run, plan, key, check, delete.
	Op string `json:"op"`
	// Stage is one of fetch, verify, template, build, publish, deploy.
	Stage string `json:"stage"`
	// Step is the step's name.
	Step string `json:"step"`
	App  App    `json:"app"`
	// Config is what the App says under “with”; null if it says nothing.
	Config json.RawMessage `json:"config"`
	// Values are those of --set: dotted key paths and YAML values as they were typed.
	Values map[string]string `json:"values,omitempty"`
	Areas  Areas             `json:"areas"`
	// Outputs are those that the step declares: their types, one of string, int, bool, by name.
	Outputs map[string]string `json:"outputs,omitempty"`
	// Manifests is the path of a file with the manifests so far, a YAML stream. It is empty if there are none.
	Manifests string `json:"manifests,omitempty"`
}

// An App tells for what a step runs.
type App struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Areas are the folders that a plugin has to do with, as absolute paths.
type Areas struct {
	// Sources is the App's folder, to read: what fetch steps have made. It is empty for fetch and check.
	Sources string `json:"sources,omitempty"`
	// Read lists the paths below Sources that may be read, relative to it; none means all.
	Read []string `json:"read,omitempty"`
	// Out is an empty folder to write results to. What a fetch step writes there is the source.
	Out string `json:"out"`
	// Temp is an empty folder for anything else. It is also HOME and TMPDIR, and removed afterwards.
	Temp string `json:"temp"`
}

// A PluginMessage is one line that a plugin sends. One of the fields is set.
type PluginMessage struct {
	Hello  *PluginHello `json:"hello,omitempty"`
	Event  *Event       `json:"event,omitempty"`
	Result *Result      `json:"result,omitempty"`
	Error  *Error       `json:"error,omitempty"`
}

// A PluginHello is the first line of a plugin.
type PluginHello struct {
	// Protocol is one of those that strake speaks.
	Protocol string `json:"protocol"`
	// Name and Version are the plugin's own, for people and for the step's key.
	Name    string `json:"name"`
	Version string `json:"version"`
	// Stages are those that it has.
	Stages []string `json:"stages"`
	// Capabilities are the operations besides run that it has: plan, key, check, delete.
	Capabilities []string `json:"capabilities,omitempty"`
}

// The types of events.
const (
	Log     = "log"
	Warning = "warning"
	// TaskUpdate has a Task.
	TaskUpdate = "task"
	// ChangeMade has a Change: what was changed outside of the workspace.
	ChangeMade = "change"
	// ImageFinal has an Image.
	ImageFinal = "image"
)

// An Event tells what happens.
type Event struct {
	// Type is one of log, warning, task, change, image.
	Type string `json:"type"`
	// Message is that of a log or a warning.
	Message string  `json:"message,omitempty"`
	Task    *Task   `json:"task,omitempty"`
	Change  *Change `json:"change,omitempty"`
	Image   *Image  `json:"image,omitempty"`
}

// A Task is a piece of work that takes time.
type Task struct {
	// ID is unique within the step.
	ID   string `json:"id"`
	Name string `json:"name"`
	// State is one of running, done, cached, failed.
	State string `json:"state"`
	// Current and Total count in Unit; Total is 0 when unknown.
	Current int64  `json:"current,omitempty"`
	Total   int64  `json:"total,omitempty"`
	Unit    string `json:"unit,omitempty"`
	// Detail says what is going on, or why it failed.
	Detail string `json:"detail,omitempty"`
}

// A Change is something that is changed outside of the workspace.
type Change struct {
	// Op is one of create, update, delete, noop, exists, build, push.
	Op string `json:"op"`
	// Kind and Name say what it is.
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	Reason    string `json:"reason,omitempty"`
	// Diff is a unified diff without secrets; it may be empty.
	Diff string `json:"diff,omitempty"`
}

// An Image is a reference of the manifests and what it became.
type Image struct {
	// From is the reference as it was, To the one with digest that replaced it.
	From string `json:"from"`
	To   string `json:"to"`
	// Action is one of built, reused, resolved, kept.
	Action string `json:"action"`
	Reason string `json:"reason,omitempty"`
}

// A Result ends an operation that succeeded.
type Result struct {
	// Manifests names a file of Out that holds the manifests from this step on, for template and build; empty
	// leaves them as they are.
	Manifests string `json:"manifests,omitempty"`
	// Changes are the answer to plan.
	Changes []Change `json:"changes,omitempty"`
	// Key is the answer to key: a text that changes with everything the result depends on beyond configuration,
	// values, manifests, the App's folder and the executable itself, which strake counts. It may be empty.
	Key string `json:"key,omitempty"`
	// Revision says, for fetch, what was fetched: a commit, a version, a digest.
	Revision string `json:"revision,omitempty"`
	// Outputs are the values of the outputs that the step declares, for run and plan: texts, whole numbers and
	// booleans. Plan may leave out those that only run can know.
	Outputs map[string]any `json:"outputs,omitempty"`
	// Skipped, if not empty, says why there was nothing to do.
	Skipped string `json:"skipped,omitempty"`
}

// An Error ends an operation that failed.
type Error struct {
	// Message says what went wrong, with file, line and object where there are any.
	Message string `json:"message"`
	// Hint says what to do about it.
	Hint string `json:"hint,omitempty"`
}

func (e *Error) Error() string { return e.Message }
