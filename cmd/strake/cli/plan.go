package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/pipeline"
	"strake.dev/strake/stages"
)

type planOptions struct {
	runFlags
	rangeFlags
	limitFlags
	saveFlags
	diff             bool
	detailedExitCode bool
}

func newPlanCommand(t *tool) *cobra.Command {
	var opts planOptions
	cmd := &cobra.Command{
		Use:   "plan [flags]",
		Short: "Show what run would change, and change nothing",
		Long: `Show which images run would build and push, and which objects it would create,
update or delete. Sources are fetched and templates rendered for that, in the
workspace; nothing is written to a registry or a cluster.

With --out, the plan is also saved, for strake apply to carry out exactly that.
The images must have been built already (strake build).

With --output pipeline, print the Pipeline that the file compiles to instead.`,
		Example: `  strake plan -f app.yaml
  strake plan -f app.yaml --detailed-exitcode
  strake plan -f app.yaml --out plan.json
  strake plan -f app.yaml -o pipeline`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return t.plan(cmd, &opts) },
	}
	opts.runFlags.add(cmd, formatPipeline)
	opts.addReports(t, cmd)
	opts.rangeFlags.add(cmd, stages.All()...)
	opts.limitFlags.add(cmd)
	opts.saveFlags.add(cmd)
	cmd.Flags().BoolVar(&opts.diff, "diff", true, "show how objects would differ")
	cmd.Flags().BoolVar(&opts.detailedExitCode, "detailed-exitcode", false, "exit with 2 when there are changes")
	return cmd
}

func (t *tool) plan(cmd *cobra.Command, o *planOptions) error {
	if err := o.rangeFlags.check(cmd); err != nil {
		return err
	}
	if err := o.saveFlags.check(cmd, stages.Stage(o.until.value)); err != nil {
		return err
	}
	if o.format.value == formatPipeline {
		return t.printPipeline(cmd.Context(), o)
	}
	return t.conclude(cmd.Context(), "plan", &o.outputFlags, func(events *render.JSON) (printable, error) {
		signer, err := o.signer(t)
		if err != nil {
			return nil, err
		}
		s, err := t.openRuns(cmd, &o.runFlags)
		if err != nil {
			return nil, err
		}
		if o.out != "" {
			if err := s.single(); err != nil {
				return nil, err
			}
		}
		s.configure(func(opts *pipeline.Options) {
			opts.From, opts.Until = o.stages()
			opts.Limits = o.limits()
		})
		reports, err := t.preview(cmd.Context(), s, o, events)
		if err != nil {
			return nil, err
		}
		result := newPlanResult(s, reports, o.diff)
		if o.out != "" {
			if err := t.savePlan(s, reports[s.units[0]], o.out, signer); err != nil {
				return nil, err
			}
			result.Saved = &savedResult{File: o.out, Signed: signer != nil}
		}
		if result.Pending && o.detailedExitCode {
			return result, errPending
		}
		return result, nil
	})
}

// preview finds what a run of each plan would change.
func (t *tool) preview(ctx context.Context, s *session, o *planOptions, events *render.JSON) (map[*unit]*pipeline.Report, error) {
	reports := map[*unit]*pipeline.Report{}
	if len(s.units) == 0 {
		return reports, nil
	}
	var mu sync.Mutex
	_, err := t.work(ctx, s, &o.engineFlags, events, func(ctx context.Context, opts pipeline.Options) error {
		return s.each(ctx, opts, func(ctx context.Context, u *unit, opts pipeline.Options) error {
			preview := u.Plan.Preview
			if o.out != "" {
				preview = u.Plan.Save
			}
			report, err := preview(ctx, opts)
			mu.Lock()
			defer mu.Unlock()
			reports[u] = report
			return err
		})
	})
	return reports, err
}

func (t *tool) printPipeline(ctx context.Context, o *planOptions) error {
	s, err := t.open(ctx, &o.engineFlags)
	if err != nil {
		return err
	}
	text, err := s.plan.YAML()
	if err != nil {
		return err
	}
	_, err = t.out.Write(text)
	return err
}

// A planResult is what a run would change.
type planResult struct {
	App string `json:"app"`
	// Pending tells whether there is any change besides noop and exists.
	Pending bool            `json:"pending"`
	Counts  map[string]int  `json:"counts"`
	Changes []stages.Change `json:"changes"`
	// Runs are those that a Pipeline with targets or Apps makes, in their order, and LeftOut is what isn't run.
	Runs    []plannedRun    `json:"runs,omitempty"`
	LeftOut []pipeline.Left `json:"leftOut,omitempty"`
	// Saved is the file of the plan, if it was saved.
	Saved *savedResult `json:"saved,omitempty"`
}

type savedResult struct {
	File   string `json:"file"`
	Signed bool   `json:"signed"`
}

// A plannedRun is what one of the runs of a Pipeline would change.
type plannedRun struct {
	Name    string          `json:"name"`
	Changes []stages.Change `json:"changes"`
}

func newPlanResult(s *session, reports map[*unit]*pipeline.Report, diff bool) *planResult {
	r := &planResult{App: s.name(), LeftOut: s.set.Left, Changes: []stages.Change{}}
	for _, u := range s.units {
		r.Changes = append(r.Changes, reports[u].Changes...)
	}
	r.Counts = render.Counts(r.Changes)
	for i, c := range r.Changes {
		r.Pending = r.Pending || render.Pending(c.Op)
		if !diff {
			r.Changes[i].Diff = ""
		}
	}
	if s.plan != nil {
		return r
	}
	at := 0
	for _, u := range s.units {
		n := len(reports[u].Changes)
		r.Runs = append(r.Runs, plannedRun{Name: u.Name, Changes: r.Changes[at : at+n]})
		at += n
	}
	return r
}

func (r *planResult) print(w io.Writer) {
	r.printChanges(w)
	if r.Saved != nil {
		how := "saved to"
		if r.Saved.Signed {
			how = "signed and saved to"
		}
		fmt.Fprintf(w, "plan: %s %s\n", how, r.Saved.File)
	}
}

func (r *planResult) printChanges(w io.Writer) {
	for _, left := range r.LeftOut {
		fmt.Fprintf(w, "left out: %s (%s)\n", render.Line(left.Name), render.Line(left.Reason))
	}
	if r.Runs == nil {
		printPlanned(w, r.Changes)
	}
	for _, run := range r.Runs {
		fmt.Fprintf(w, "%s:\n", render.Line(run.Name))
		printPlanned(w, run.Changes)
	}
	r.printCounts(w)
}

func printPlanned(w io.Writer, changes []stages.Change) {
	for _, c := range changes {
		fmt.Fprintf(w, "%-6s  %s", c.Op, render.Object(c))
		if c.Reason != "" {
			fmt.Fprintf(w, ": %s", render.Line(c.Reason))
		}
		fmt.Fprintln(w)
		for _, i := range c.Images {
			fmt.Fprintf(w, "        image %s -> %s\n", cmp.Or(render.Line(i.From), "none"), cmp.Or(render.Line(i.To), "none"))
		}
		for line := range strings.Lines(render.Text(c.Diff)) {
			fmt.Fprintf(w, "        %s\n", strings.TrimRight(line, "\n"))
		}
	}
}

func (r *planResult) printCounts(w io.Writer) {
	if !r.Pending {
		fmt.Fprintf(w, "plan: nothing would be built, pushed or applied: %s is up to date\n", r.App)
		return
	}
	var parts []string
	for _, op := range []string{"build", "push", "create", "update", "delete"} {
		if n := r.Counts[op]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d to %s", n, op))
		}
	}
	if n := r.Counts["noop"] + r.Counts["exists"]; n > 0 {
		parts = append(parts, fmt.Sprintf("%d unchanged", n))
	}
	fmt.Fprintf(w, "plan: %s\n", strings.Join(parts, ", "))
}
