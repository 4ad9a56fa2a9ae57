package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/internal/report"
	"strake.dev/strake/pipeline"
	"strake.dev/strake/stages"
)

// A runResult is what a run has led to.
type runResult struct {
	// App is namespace/name.
	App       string          `json:"app"`
	Workspace string          `json:"workspace"`
	Steps     []report.Step   `json:"steps"`
	Images    []stages.Image  `json:"images,omitempty"`
	Changes   []stages.Change `json:"changes,omitempty"`
	Lock      *lockResult     `json:"lock,omitempty"`
	// Locks are those of a Pipeline with several runs, and LeftOut is what of it isn't run.
	Locks   []lockResult    `json:"locks,omitempty"`
	LeftOut []pipeline.Left `json:"leftOut,omitempty"`
	// UpToDate tells that nothing was built, pushed or applied, because nothing had to be.
	UpToDate bool    `json:"upToDate"`
	Seconds  float64 `json:"seconds"`

	failed bool
}

type lockResult struct {
	File string `json:"file"`
	// Written tells whether the file has changed.
	Written bool `json:"written"`
}

// runSteps runs a session's steps, and returns a report for each of its plans that was run.
func (t *tool) runSteps(ctx context.Context, s *session, f *engineFlags, events *render.JSON) ([]*pipeline.Report, *runResult, error) {
	r := &runResult{App: s.name(), Workspace: s.opts.Workspace, LeftOut: s.set.Left}
	if len(s.units) == 0 {
		return nil, r, nil
	}
	var mu sync.Mutex
	var reports []*pipeline.Report
	summary, err := t.work(ctx, s, f, events, func(ctx context.Context, opts pipeline.Options) error {
		return s.each(ctx, opts, func(ctx context.Context, u *unit, opts pipeline.Options) error {
			ran, err := u.Plan.Run(ctx, opts)
			mu.Lock()
			defer mu.Unlock()
			reports = append(reports, ran)
			if opts.LockFile != "" {
				r.Locks = append(r.Locks, lockResult{File: opts.LockFile, Written: ran.LockChanged})
			}
			return err
		})
	})
	r.Steps, r.Images, r.Changes, r.Seconds, r.failed = summary.Steps, summary.Images, summary.Changes, summary.Seconds, err != nil
	slices.SortFunc(r.Locks, func(a, b lockResult) int { return cmp.Compare(a.File, b.File) })
	if s.plan != nil && len(r.Locks) > 0 {
		r.Lock, r.Locks = &r.Locks[0], nil
	}
	built := slices.ContainsFunc(r.Images, func(i stages.Image) bool { return i.Action == stages.ImageBuilt })
	changed := slices.ContainsFunc(r.Changes, func(c stages.Change) bool { return render.Pending(c.Op) })
	r.UpToDate = err == nil && !built && !changed && r.did(stages.Build, stages.Deploy)
	return reports, r, err
}

// did tells whether the run had steps of any of the stages.
func (r *runResult) did(any ...stages.Stage) bool {
	return slices.ContainsFunc(r.Steps, func(s report.Step) bool { return slices.Contains(any, s.Stage) })
}

func (r *runResult) print(w io.Writer) {
	if r.failed {
		return
	}
	took := render.Seconds(time.Duration(r.Seconds * float64(time.Second)))
	for _, left := range r.LeftOut {
		fmt.Fprintf(w, "left out: %s (%s)\n", render.Line(left.Name), render.Line(left.Reason))
	}
	if r.Steps == nil && len(r.LeftOut) > 0 {
		fmt.Fprintln(w, "nothing to run")
		return
	}
	if r.UpToDate {
		fmt.Fprintf(w, "nothing was built, pushed or applied: %s is up to date (%s)\n", r.App, took)
		for _, l := range r.locks() {
			if l.Written {
				l.print(w)
			}
		}
		return
	}
	printImages(w, r.Images)
	if r.did(stages.Deploy) {
		fmt.Fprintf(w, "deploy: %s\n", applied(r.Changes))
	}
	for _, l := range r.locks() {
		l.print(w)
	}
	fmt.Fprintf(w, "done in %s\n", took)
}

// locks are all lock files of the run.
func (r *runResult) locks() []lockResult {
	if r.Lock != nil {
		return []lockResult{*r.Lock}
	}
	return r.Locks
}

func (l lockResult) print(w io.Writer) {
	state := "unchanged"
	if l.Written {
		state = "written"
	}
	fmt.Fprintf(w, "lock: %s %s\n", l.File, state)
}

func printImages(w io.Writer, all []stages.Image) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintln(w, "images:")
	for _, i := range all {
		fmt.Fprintf(w, "  %s -> %s  %s", render.Line(i.From), render.Line(i.To), i.Action)
		if i.Reason != "" {
			fmt.Fprintf(w, ": %s", render.Line(i.Reason))
		}
		fmt.Fprintln(w)
	}
}

// applied counts what was changed in the cluster.
func applied(changes []stages.Change) string {
	counts := render.Counts(changes)
	var parts []string
	for _, c := range []struct{ op, word string }{{"create", "created"}, {"update", "updated"}, {"delete", "deleted"}} {
		if n := counts[c.op]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, c.word))
		}
	}
	if len(parts) == 0 {
		return "nothing to apply"
	}
	if n := counts["noop"] + counts["exists"]; n > 0 {
		parts = append(parts, fmt.Sprintf("%d unchanged", n))
	}
	return strings.Join(parts, ", ")
}
