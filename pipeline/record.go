package pipeline

import (
	"cmp"
	"slices"
	"time"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// recordFormat is raised when records of an earlier strake can't be taken over from.
const recordFormat = 2

// A Record is what run.json in the workspace says of the last run. It holds no secret: what a step
// depended on is there as a digest only.
type Record struct {
	Format   int       `json:"format"`
	Strake   string    `json:"strake"`
	App      string    `json:"app"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished,omitzero"`
	// Outcome is one of running, succeeded, failed, canceled.
	Outcome string       `json:"outcome"`
	Error   string       `json:"error,omitempty"`
	Steps   []StepRecord `json:"steps"`
}

// The outcomes of a run.
const (
	OutcomeRunning   = "running"
	OutcomeSucceeded = "succeeded"
	OutcomeFailed    = "failed"
	OutcomeCanceled  = "canceled"
)

// A StepRecord says what a step did, and what it would take for it to do the same again.
type StepRecord struct {
	Name   string       `json:"name"`
	Stage  stages.Stage `json:"stage"`
	Plugin string       `json:"plugin"`
	Folder string       `json:"folder,omitempty"`
	// Key is the digest of everything the result depends on; empty if that can't be told.
	Key string `json:"key,omitempty"`
	// Output is the digest of the area, or of the manifests.
	Output string `json:"output,omitempty"`
	// HasManifests tells whether the area holds manifests.
	HasManifests bool `json:"hasManifests,omitempty"`
	// Status is one of done, skipped, failed.
	Status  string                `json:"status"`
	Reason  string                `json:"reason,omitempty"`
	Seconds float64               `json:"seconds"`
	Sources []schema.LockedSource `json:"sources,omitempty"`
	// SourceDate is the time of the commit that a source is from.
	SourceDate time.Time            `json:"sourceDate,omitzero"`
	Origin     stages.Origin        `json:"origin,omitzero"`
	Images     []schema.LockedImage `json:"images,omitempty"`
	// Outputs are what later steps may refer to.
	Outputs map[string]any `json:"outputs,omitempty"`
}

func (r *Record) step(name string) (StepRecord, bool) {
	for _, s := range r.Steps {
		if s.Name == name {
			return s, true
		}
	}
	return StepRecord{}, false
}

// set puts a step's record in the place of an earlier one of that name.
func (r *Record) set(s StepRecord) {
	for i := range r.Steps {
		if r.Steps[i].Name == s.Name {
			r.Steps[i] = s
			return
		}
	}
	r.Steps = append(r.Steps, s)
}

// drop forgets a step, before what it made is touched.
func (r *Record) drop(name string) {
	for i := range r.Steps {
		if r.Steps[i].Name == name {
			r.Steps = append(r.Steps[:i], r.Steps[i+1:]...)
			return
		}
	}
}

// sort lists the steps in the order of a plan.
func (r *Record) sort(plan []Step) {
	at := func(rec StepRecord) int {
		return slices.IndexFunc(plan, func(s Step) bool { return s.Name == rec.Name })
	}
	slices.SortStableFunc(r.Steps, func(a, b StepRecord) int { return cmp.Compare(at(a), at(b)) })
}

// folders lists, sorted, the folders that the fetch steps of a run have filled.
func (r *Record) folders() []string {
	var folders []string
	for _, s := range r.Steps {
		if s.Stage == stages.Fetch {
			folders = append(folders, s.Folder)
		}
	}
	slices.Sort(folders)
	return folders
}
