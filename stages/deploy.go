package stages

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Limits are what the user lets a deploy step do.
type Limits struct {
	// ObjectTimeout is how long a single object may take to become ready; 0 is no limit.
	ObjectTimeout time.Duration
	// MaxPrune is the largest share of an app's objects, in percent, that may be deleted because they
	// are no longer in the manifests. 0 is the default of [DefaultMaxPrune].
	MaxPrune int
	// AllowEmpty lets manifests without any object delete everything.
	AllowEmpty bool
}

// DefaultMaxPrune is the share of an app, in percent, that may be pruned without being asked for. Apps
// of which fewer than [FewObjects] would go are never refused.
const (
	DefaultMaxPrune = 50
	FewObjects      = 10
)

// Prune returns an error if deleting so many of an app's objects needs to be asked for.
func (l Limits) Prune(deleted, all int) error {
	limit := l.MaxPrune
	if limit == 0 {
		limit = DefaultMaxPrune
	}
	if deleted < FewObjects || deleted*100 <= all*limit {
		return nil
	}
	return WithHint(&RefusedError{Reasons: []string{
		fmt.Sprintf("%d of the app's %d objects are no longer in the manifests and would be deleted, more than %d%%", deleted, all, limit),
	}}, "if that is meant, allow it with --max-prune 100")
}

// A RefusedError says that a step has written nothing because it must not: what it would do isn't
// what was agreed to, or isn't its own.
type RefusedError struct {
	// Reasons are all that was found, each naming the object.
	Reasons []string
}

func (e *RefusedError) Error() string { return strings.Join(e.Reasons, "\n") }

// A HeldError says that another deployer holds the lock of an app.
type HeldError struct {
	// App names what is locked.
	App string
	// Holder is who holds it, and Since when.
	Holder string
	Since  time.Time
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("%s is being deployed by %s since %s", e.App, e.Holder, e.Since.UTC().Format(time.RFC3339))
}

// A Saver is a Planner whose plan can be kept and carried out later, exactly.
type Saver interface {
	Planner
	// Save is Plan with all that it takes to carry it out. It writes nothing.
	Save(ctx context.Context, job *Job) (*Saved, error)
	// Apply makes the writes of a saved plan, whose manifests the job has, and waits as Run does. It
	// makes exactly those or, if the cluster no longer is as it was, none: then it returns a
	// [*RefusedError] with everything that has changed meanwhile.
	Apply(ctx context.Context, job *Job, saved *Saved) (Result, error)
}

// Saved is the plan of one deploy step. It holds no diff and no value of a secret.
type Saved struct {
	// Changes are those that Plan gives.
	Changes []Change `json:"changes"`
	// Writes are what Apply does, in the order of the objects' names. Without any there is nothing to do.
	Writes []Write `json:"writes"`
	// Target identifies the cluster and the app, so that a plan isn't applied elsewhere.
	Target string `json:"target"`
}

// A Write is one change that a saved plan makes to the cluster, and what must hold for it.
type Write struct {
	// Op is one of create, update, delete.
	Op     string    `json:"op"`
	Object ObjectRef `json:"object"`
	// UID is that of the object in the cluster; empty means that there must be none.
	UID string `json:"uid,omitempty"`
	// State is a digest of the object in the cluster without its status.
	State string `json:"state,omitempty"`
	// Digest is that of what is written, so that another result than the planned one is noticed.
	Digest string `json:"digest,omitempty"`
}

// An ObjectRef names a Kubernetes object.
type ObjectRef struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
}

// String names the object for people.
func (r ObjectRef) String() string {
	s := strings.ToLower(r.Kind) + "/" + r.Name
	if r.Namespace != "" {
		s += " (namespace " + r.Namespace + ")"
	}
	return s
}

// A Historian is a deploy step that can tell what was deployed earlier.
type Historian interface {
	// History lists the recorded deploys, the latest first. Without any deploy the error wraps
	// [ErrNotDeployed].
	History(ctx context.Context, job *Job) ([]Revision, error)
	// Recall returns the manifests of a recorded deploy. The error wraps [ErrNoRevision] if there is
	// none of that number, or if its manifests weren't kept.
	Recall(ctx context.Context, job *Job, number int) (Manifests, error)
}

// A Revision is one recorded deploy of an app.
type Revision struct {
	// Number counts the deploys of the app from 1.
	Number int `json:"number"`
	// Applied is when it was deployed.
	Applied time.Time `json:"applied"`
	// Outcome is one of succeeded, failed, unfinished.
	Outcome string `json:"outcome"`
	// Digest is that of the manifests, the SHA-256 in hex.
	Digest string `json:"digest,omitempty"`
	Origin
	// Objects is their number.
	Objects int `json:"objects"`
	// Images are those of the manifests.
	Images []string `json:"images,omitempty"`
	// By is the tool that deployed it, with its version.
	By string `json:"by,omitempty"`
	// Message says what was done.
	Message string `json:"message,omitempty"`
	// Kept tells whether its manifests can be recalled.
	Kept bool `json:"kept"`
}

// Origin tells where deployed manifests come from, as far as it is known.
type Origin struct {
	// Source is the repository, image or URL; several are separated by commas.
	Source string `json:"source,omitempty"`
	// Revision is the commit or digest of it.
	Revision string `json:"revision,omitempty"`
	// Artifacts are the OCI artifacts that the manifests were pulled from, as repository@digest.
	Artifacts []string `json:"artifacts,omitempty"`
}

// Equal tells whether both say the same.
func (o Origin) Equal(other Origin) bool {
	return o.Source == other.Source && o.Revision == other.Revision && slices.Equal(o.Artifacts, other.Artifacts)
}

// A DeployedApp is one app that a cluster has, whoever deployed it.
type DeployedApp struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	// Plugin is the one that can take it over.
	Plugin string `json:"plugin"`
	// Objects is their number; -1 if it isn't recorded.
	Objects int `json:"objects"`
	Origin
	// Digest is that of the manifests.
	Digest string `json:"digest,omitempty"`
	// Applied is when it was last deployed; zero if that isn't known.
	Applied time.Time `json:"applied,omitzero"`
	// Outcome is one of succeeded, failed, unfinished; empty if it isn't known.
	Outcome string `json:"outcome,omitempty"`
	// By is the tool that deployed it last, with its version if that is known.
	By string `json:"by,omitempty"`
}

// An Adopter is a deploy step that can take over what another tool has deployed, by writing to nothing but
// the metadata of the objects.
type Adopter interface {
	// Adopt takes over the app of the job's name. It may be called again after it was cut short. The
	// error wraps [ErrNotDeployed] if there is nothing to adopt, and is a [*RefusedError] if objects belong to a third.
	Adopt(ctx context.Context, job *Job, how Adoption) ([]Change, error)
}

// Adoption says how an app is taken over.
type Adoption struct {
	// From is the tool that has deployed it: kapp or kustomizer.
	From string
	// DryRun only tells what would be taken over.
	DryRun bool
	// KeepRecord leaves the tool's own record in the cluster.
	KeepRecord bool
}
