package pipeline

import (
	"errors"
	"regexp"

	"strake.dev/strake/stages"
)

// Results keep what template steps have made, for runs with another workspace, such as those of other CI jobs.
// Keys are those of steps; values hold no secrets.
type Results interface {
	// Note reads what is kept under a key, and tells whether there is anything.
	Note(kind, key string, into any) bool
	// SetNote keeps something. What can't be kept is made again.
	SetNote(kind, key string, value any)
}

// A kept result is that of a template step.
type keptResult struct {
	Record    StepRecord       `json:"record"`
	Manifests stages.Manifests `json:"manifests"`
}

const (
	resultKind = "step"
	// largestResult bounds the manifests that are kept.
	largestResult = 4 << 20
	// cachedReason is why a step with a kept result is left out.
	cachedReason = "an earlier run has made the same, and the cache has it"
)

// holdsSecret finds manifests with Secrets, whose values aren't kept.
var holdsSecret = regexp.MustCompile(`(?m)^[\s-]*["']?kind["']?:\s*["']?Secret\b|"kind"\s*:\s*"Secret"`)

// keeps tells whether the result of a step may come from elsewhere than the workspace: it is wholly told by its
// key, and nothing decrypted goes into it.
func (r *run) keeps(s Step, key string) bool {
	return r.opts.Results != nil && s.Stage == stages.Template && key != "" && r.overlay == nil && !r.provisional
}

// resultKey is the key of a step's result, of one version of strake.
func (r *run) resultKey(key string) string { return r.opts.Version + "\n" + key }

// recall takes a step's result from the cache.
func (r *run) recall(s Step, rec StepRecord) (_ StepRecord, found bool, err error) {
	var kept keptResult
	if !r.keeps(s, rec.Key) || !r.opts.Results.Note(resultKind, r.resultKey(rec.Key), &kept) {
		return rec, false, nil
	}
	if !kept.Record.HasManifests || kept.Manifests.Digest() != kept.Record.Output {
		return rec, false, nil
	}
	area, err := r.ws.stage(s.Name)
	if err != nil {
		return rec, false, err
	}
	err = area.Root().WriteFile(manifestFile, kept.Manifests, 0o600)
	if err = errors.Join(err, area.Close()); err != nil {
		return rec, false, err
	}
	if err := r.place(s); err != nil {
		return rec, false, err
	}
	rec.Output, rec.HasManifests, rec.Outputs = kept.Record.Output, true, s.typed(kept.Record.Outputs)
	rec.Status, rec.Reason = StatusSkipped, cachedReason
	return rec, true, r.adopt(s, rec)
}

// remember keeps a step's result, unless there are secrets in it.
func (r *run) remember(s Step, rec StepRecord, manifests stages.Manifests) {
	if !r.keeps(s, rec.Key) || !rec.HasManifests || len(manifests) > largestResult || rec.Images != nil || rec.Sources != nil {
		return
	}
	if holdsSecret.Match(manifests) || r.secret.clean(string(manifests)) != string(manifests) {
		return
	}
	r.opts.Results.SetNote(resultKind, r.resultKey(rec.Key), keptResult{rec, manifests})
}

// place moves a step's area to its place.
func (r *run) place(s Step) error {
	// The record forgets the step before its earlier result is touched: a run that is killed in
	// between leaves no record of something that is half there.
	if err := r.forget(s); err != nil {
		return err
	}
	return r.ws.commit(s.Name, place(s))
}
