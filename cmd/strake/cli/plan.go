package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

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
		s, err := t.openRun(cmd, &o.runFlags)
		if err != nil {
			return nil, err
		}
		s.opts.From, s.opts.Until = o.stages()
		s.opts.Limits = o.limits()
		preview := s.plan.Preview
		if o.out != "" {
			preview = s.plan.Save
		}
		var report *pipeline.Report
		_, err = t.work(cmd.Context(), s, &o.engineFlags, events, func(ctx context.Context, opts pipeline.Options) (err error) {
			report, err = preview(ctx, opts)
			return err
		})
		if err != nil {
			return nil, err
		}
		result := newPlanResult(s, report.Changes, o.diff)
		if o.out != "" {
			if err := t.savePlan(s, report, o.out, signer); err != nil {
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

func (t *tool) printPipeline(ctx context.Context, o *planOptions) error {
	s, err := t.open(ctx, &o.engineFlags)
	if err != nil {
		return err
	}
	text, err := s.plan.Pipeline().YAML()
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
	// Saved is the file of the plan, if it was saved.
	Saved *savedResult `json:"saved,omitempty"`
}

type savedResult struct {
	File   string `json:"file"`
	Signed bool   `json:"signed"`
}

func newPlanResult(s *session, changes []stages.Change, diff bool) *planResult {
	r := &planResult{
		App: s.plan.App.Namespace + "/" + s.plan.App.Name, Counts: render.Counts(changes),
		Changes: append([]stages.Change{}, changes...),
	}
	for i, c := range r.Changes {
		r.Pending = r.Pending || render.Pending(c.Op)
		if !diff {
			r.Changes[i].Diff = ""
		}
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
	for _, c := range r.Changes {
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
