package stages

import (
	"context"
	"errors"
	"time"

	"strake.dev/strake/schema"
)

// A Step is one configured plugin of a plan. Making it had no side effects.
type Step interface {
	// Run does the work of the step. It reads from and writes to what job gives, and nothing else
	// of the workspace. It returns soon after ctx ends, with an error that wraps ctx.Err(). It may be
	// called again after a failure, then with an empty job.Out. It says what happens only through
	// job.Events, and describes in its error only the problem: the engine adds the step's name.
	Run(ctx context.Context, job *Job) (Result, error)
}

// A Result is what a step yields.
type Result struct {
	// Manifests are the manifests from this step on; nil leaves the current ones as they are.
	Manifests Manifests
	// Overlay is what template steps after this one see over the App's folder; a step that yields one
	// has to be run each time, and so has no key.
	Overlay *Overlay
	// Sources are what a fetch step's sources resolved to, for the lock; the Path of each is job.Folder or
	// below it.
	Sources []schema.LockedSource
	// SourceDate is the time of the commit that a fetch step's source is from; zero if it is from none.
	SourceDate time.Time
	// Origin tells where a fetch step's source is from.
	Origin Origin
	// Images are what the images of the manifests resolved to, for the lock.
	Images []schema.LockedImage
	// Outputs are the values of the plugin's own outputs, by name, in the types of their examples.
	Outputs map[string]any
	// Skipped, if not empty, says why there was nothing to do.
	Skipped string
}

// A Placer is a fetch step that may say where in the App's folder its source goes. An empty path
// leaves that to the engine: the folder itself for the only source, else 0, 1, … by position.
type Placer interface {
	Folder() string
}

// An ImageVerifier is a verify step that may look at the images of the manifests instead of at what was
// fetched. An App runs it after its build stage then.
type ImageVerifier interface {
	VerifiesImages() bool
}

// A Checker can tell, before any step has run, that its Run would fail: a tool is missing, a server
// doesn't answer, rights are missing. Check changes nothing, and sees a job without sources,
// manifests and area. Steps without it are taken as ready.
type Checker interface {
	Check(ctx context.Context, job *Job) error
}

// A Pinner is a step that runs executables which the lock pins. The engine asks before any step has run.
// Pins reads them, doesn't run them, and refuses those that the lock doesn't let in.
type Pinner interface {
	Pins(ctx context.Context, job *Job) ([]schema.LockedPlugin, error)
}

// A Keyer gives a text that names everything its result depends on beyond its configuration and the
// current manifests (which the engine adds): digests of the files it reads, what a remote reference
// points to now. An equal key means that Run may be left out and its last output reused. An empty
// key means that this can't be told and the step has to run. Key is quick next to Run, and may be
// called without Run.
type Keyer interface {
	Key(ctx context.Context, job *Job) (string, error)
}

// A Planner can tell what Run would change outside of the workspace without changing it. Its Result
// holds the manifests as far as they can be known. Steps without it that only write to the workspace
// (fetch, template) are run to make a plan.
type Planner interface {
	Plan(ctx context.Context, job *Job) (Result, []Change, error)
}

// A Deleter removes what Run has made outside of the workspace. Removing what isn't there is not an
// error.
type Deleter interface {
	Delete(ctx context.Context, job *Job) error
}

// An Inspector tells what Run has made outside of the workspace, and its state.
type Inspector interface {
	Inspect(ctx context.Context, job *Job) ([]Object, error)
}

// ErrNotDeployed is what an Inspector returns for something that isn't there.
var ErrNotDeployed = errors.New("not deployed")

// An Object is one object of a deployed app.
type Object struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
	// Owner tells who made it: the deploying tool, or the cluster's controllers.
	Owner string `json:"owner,omitempty"`
	// State is ok, ongoing, or fail.
	State string `json:"state,omitempty"`
	// Reason says why the state is not ok.
	Reason string `json:"reason,omitempty"`
	// Created is in RFC 3339.
	Created string `json:"created,omitempty"`
	// UID and Parent are the object's own UID and that of the object that it belongs to, for a tree.
	UID    string `json:"uid,omitempty"`
	Parent string `json:"parent,omitempty"`
	// Images are those that a workload or pod runs.
	Images []string `json:"images,omitempty"`
	// Drift says what somebody else has changed since the object was deployed.
	Drift string `json:"drift,omitempty"`
}
