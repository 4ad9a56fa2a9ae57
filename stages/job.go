package stages

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"strake.dev/strake/schema"
)

// A Job is one execution of a step: where it reads, where it writes, and whom it tells.
type Job struct {
	// Step is the name of the step, for file names and tags; messages get it from the engine.
	Step string
	// App tells for whom the step runs.
	App App
	// Dir is the folder of the App's file. Local paths of the configuration count from it.
	Dir string
	// Local lists, as absolute paths, files and folders that belong to strake and are no source even
	// where they lie among a local one: the lock file, the workspace.
	Local []string
	// Sources is the App's folder: what the fetch steps have made. Fetch steps, which run at the same time,
	// find nothing in it that they could rely on.
	Sources *Tree
	// Fetched tells what the sources of the App's folder have resolved to, as far as it can be told; it is
	// empty for fetch steps.
	Fetched []schema.LockedSource
	// Resolved tells what the images of the manifests have resolved to so far.
	Resolved []schema.LockedImage
	// Before are the steps before this one.
	Before []StepRef
	// Provisional means that the manifests come from steps that were only planned, so that images may be in
	// them that don't exist yet.
	Provisional bool
	// Manifests are the manifests so far; nil before the first template step.
	Manifests Manifests
	// Folder is the path in the App's folder that a fetch step fills; “.” is the folder itself. It is
	// also the name of its entry in the lock.
	Folder string
	// Out is the step's own area, empty when Run begins. It is there in Run and Plan only.
	Out *Tree
	// Began is when the run began. What a remote has answered since then need not be asked again.
	Began time.Time
	// Temp is where the step makes its temporary files, as an absolute path. It is cleared by the next
	// run even if this one is killed. Empty is the system's folder for them.
	Temp string
	// Cache is a folder of the App's where steps may keep, under names of their own, what only makes
	// them faster or their messages better, as an absolute path. It is kept between runs and may be
	// gone at any time. Empty means that there is none.
	Cache string
	// SourceDates are the times of the commits that folders of the App's folder were fetched from, by
	// folder. Those that are from no commit have none.
	SourceDates map[string]time.Time
	// Lock is what mutable references resolved to according to the lock file.
	Lock *Lock
	// Objects finds the Secrets and ConfigMaps that the configuration refers to.
	Objects Objects
	// Target tells about the cluster that the App is deployed to; nil means that there is none.
	Target Target
	// Hide keeps a secret value out of events and errors from then on, for secrets that don't come from
	// Objects. It is never nil.
	Hide func(value []byte)
	// Values are the values given with --set, for steps that take values: dotted key paths and YAML
	// values as they were typed. They win over what the configuration says.
	Values map[string]string
	// Repositories, if not empty, is a prefix such as registry.example.com/team: what the step pushes goes below
	// it, under the last part of the name that its configuration says.
	Repositories string
	// Origin tells where the manifests come from.
	Origin Origin
	// Rendered is the path of the file that holds the manifests, for messages; empty if there is none.
	Rendered string
	// Limits are what the user lets a deploy step do.
	Limits Limits
	// Unchanged asks deploy steps to tell also of objects that they leave as they are, by changes with
	// the op noop.
	Unchanged bool
	// Version names strake and its version, for records of deploys.
	Version string
	// Transcript, if not nil, gets what a deploying tool prints by itself.
	Transcript *Transcript
	// Events is told what happens. It is never nil.
	Events Observer
}

// A StepRef says what a step is made of.
type StepRef struct {
	Name   string `json:"name"`
	Stage  Stage  `json:"stage"`
	Plugin string `json:"plugin"`
	// Version is the plugin's.
	Version string `json:"version"`
}

// An App is what steps know of the App or Pipeline that they belong to.
type App struct {
	Name string
	// Record is the name under which a deploy is recorded in the cluster; empty means Name. That of
	// kapp-controller's Apps differs, so that strake and kapp-controller find each other's.
	Record      string
	Namespace   string
	UID         string
	Labels      map[string]string
	Annotations map[string]string
	schema.Identity
	// NoopDelete makes delete leave the deployed objects alone.
	NoopDelete bool
}

// Manifests are Kubernetes manifests as a YAML stream.
type Manifests []byte

// Digest is the SHA-256 of the stream, in hex.
func (m Manifests) Digest() string {
	sum := sha256.Sum256(m)
	return hex.EncodeToString(sum[:])
}

// Objects finds Secrets and ConfigMaps in the App's namespace: those that stand in the App's file
// first, then those of the cluster. Their values are kept out of events and errors from then on.
type Objects interface {
	// Secret returns the decoded data of a Secret; the error wraps ErrNoObject if there is none.
	Secret(ctx context.Context, name string) (map[string][]byte, error)
	// ConfigMap returns the data of a ConfigMap; the error wraps ErrNoObject if there is none.
	ConfigMap(ctx context.Context, name string) (map[string][]byte, error)
}

// A Target tells what templates may depend on of the cluster that an App is deployed to. The cluster is
// asked once, and only if somebody wants to know.
type Target interface {
	// Version is that of its Kubernetes without anything that vendors add, such as 1.36.3.
	Version(ctx context.Context) (string, error)
	// GroupVersions lists what its API server serves, such as v1 and apps/v1, in the server's order.
	GroupVersions(ctx context.Context) ([]string, error)
}
