package stages

// A Watcher tells what its result depends on that may change at any time outside of the workspace, so that
// strake run --watch notices it. What other steps have made is none of it: these are watched themselves.
// Watches is quick, asks no remote, and sees a job without sources, manifests and area. Steps without it are
// taken to depend on nothing of the kind.
type Watcher interface {
	Watches(job *Job) (Watched, error)
}

// Watched is what a step depends on.
type Watched struct {
	// Paths are files, and folders with all below them, on this machine, as absolute paths. They need not
	// exist.
	Paths []string
	// References name, for people, what may lead to something else tomorrow: a branch, a tag, a range of
	// versions. If there are any, the step is asked from time to time: for its key, or, if it has none, for
	// what it plans.
	References []string
}

// Add adds what another step, or a part of this one, depends on.
func (w *Watched) Add(more Watched) {
	w.Paths = append(w.Paths, more.Paths...)
	w.References = append(w.References, more.References...)
}
