package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
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

// runSteps runs a session's steps.
func (t *tool) runSteps(ctx context.Context, s *session, f *engineFlags, events *render.JSON) (*pipeline.Report, *runResult, error) {
	var ran *pipeline.Report
	summary, err := t.work(ctx, s, f, events, func(ctx context.Context, opts pipeline.Options) (err error) {
		ran, err = s.plan.Run(ctx, opts)
		return err
	})
	r := &runResult{
		App: s.plan.App.Namespace + "/" + s.plan.App.Name, Workspace: s.opts.Workspace,
		Steps: summary.Steps, Images: summary.Images, Changes: summary.Changes,
		Seconds: summary.Seconds, failed: err != nil,
	}
	if s.opts.LockFile != "" {
		r.Lock = &lockResult{File: s.opts.LockFile, Written: ran.LockChanged}
	}
	built := slices.ContainsFunc(r.Images, func(i stages.Image) bool { return i.Action == stages.ImageBuilt })
	changed := slices.ContainsFunc(r.Changes, func(c stages.Change) bool { return render.Pending(c.Op) })
	r.UpToDate = err == nil && !built && !changed && r.did(stages.Build, stages.Deploy)
	return ran, r, err
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
	if r.UpToDate {
		fmt.Fprintf(w, "nothing was built, pushed or applied: %s is up to date (%s)\n", r.App, took)
		if r.Lock != nil && r.Lock.Written {
			r.printLock(w)
		}
		return
	}
	printImages(w, r.Images)
	if r.did(stages.Deploy) {
		fmt.Fprintf(w, "deploy: %s\n", applied(r.Changes))
	}
	r.printLock(w)
	fmt.Fprintf(w, "done in %s\n", took)
}

func (r *runResult) printLock(w io.Writer) {
	if r.Lock == nil {
		return
	}
	state := "unchanged"
	if r.Lock.Written {
		state = "written"
	}
	fmt.Fprintf(w, "lock: %s %s\n", r.Lock.File, state)
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
