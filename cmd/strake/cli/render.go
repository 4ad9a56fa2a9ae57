package cli

import (
	"io"

	"github.com/spf13/cobra"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/stages"
)

type renderOptions struct {
	runFlags
	rangeFlags
}

func newRenderCommand(t *tool) *cobra.Command {
	var opts renderOptions
	cmd := &cobra.Command{
		Use:   "render [flags]",
		Short: "Run all stages before deploy and print the manifests",
		Long: `Run the stages before deploy, and print the manifests on standard output as
they would be deployed. That builds and pushes images; with --until template
nothing is written outside of the workspace.`,
		Example: `  strake render -f app.yaml > manifests.yaml
  strake render -f app.yaml --until template --set replicas=3`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return t.render(cmd, &opts) },
	}
	opts.runFlags.add(cmd)
	opts.addReports(t, cmd)
	opts.rangeFlags.add(cmd, stages.Fetch, stages.Template, stages.Build)
	return cmd
}

func (t *tool) render(cmd *cobra.Command, o *renderOptions) error {
	if err := o.check(cmd); err != nil {
		return err
	}
	return t.conclude(cmd.Context(), "render", &o.outputFlags, func(events *render.JSON) (printable, error) {
		s, err := t.openRun(cmd, &o.runFlags)
		if err != nil {
			return nil, err
		}
		s.opts.From, s.opts.Until = o.stages()
		if s.opts.Until == "" {
			s.opts.Until = stages.Build
		}
		reports, run, err := t.runSteps(cmd.Context(), s, &o.engineFlags, events)
		if err != nil {
			return nil, err
		}
		return &renderResult{runResult: run, Manifests: string(reports[0].Manifests)}, nil
	})
}

// A renderResult is what a run of the stages before deploy has led to.
type renderResult struct {
	*runResult
	Manifests string `json:"manifests"`
}

func (r *renderResult) document() {}

// Print prints exactly the bytes that a deploy step would get.
func (r *renderResult) print(w io.Writer) {
	_, _ = io.WriteString(w, r.Manifests) // noticed at the end of the command
}
