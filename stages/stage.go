package stages

import "slices"

// A Stage is a kind of step. It fixes what a step reads and writes:
//
//	fetch     reads local files and remotes, writes one folder of the App's folder
//	verify    reads what the fetch steps have resolved to, or the manifests, and writes nothing
//	template  reads the App's folder and the manifests so far, yields manifests
//	build     reads manifests and the App's folder, pushes images, yields manifests
//	publish   reads manifests, writes them to a registry
//	deploy    reads manifests, writes to a cluster
type Stage string

// The stages, in the order in which an App runs them.
const (
	Fetch    Stage = "fetch"
	Verify   Stage = "verify"
	Template Stage = "template"
	Build    Stage = "build"
	Publish  Stage = "publish"
	Deploy   Stage = "deploy"
)

// All lists the stages in the order in which an App runs them.
func All() []Stage { return []Stage{Fetch, Verify, Template, Build, Publish, Deploy} }

// Before tells whether an App runs s before other.
func (s Stage) Before(other Stage) bool {
	return slices.Index(All(), s) < slices.Index(All(), other)
}

// Valid tells whether s is a stage.
func (s Stage) Valid() bool { return slices.Contains(All(), s) }
