package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/stages"
)

func newBuildCommand(t *tool) *cobra.Command {
	var opts runFlags
	cmd := &cobra.Command{
		Use:   "build [flags]",
		Short: "Run all stages before deploy and list the images",
		Long: `Run the stages before deploy: images are built, pushed or resolved, and the
lock file is written.`,
		Example: `  strake build -f app.yaml
  strake build -f app.yaml --buildkit-addr tcp://buildkit.example.com:1234`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return t.build(cmd, &opts) },
	}
	opts.add(cmd)
	return cmd
}

func (t *tool) build(cmd *cobra.Command, o *runFlags) error {
	return t.conclude(cmd.Context(), "build", &o.outputFlags, func(events *render.JSON) (printable, error) {
		s, err := t.openRun(cmd, o)
		if err != nil {
			return nil, err
		}
		s.opts.Until = stages.Build
		_, run, err := t.runSteps(cmd.Context(), s, &o.engineFlags, events)
		return &buildResult{run}, err
	})
}

// A buildResult is a run's result of which people want to see the images.
type buildResult struct{ *runResult }

func (r *buildResult) print(w io.Writer) {
	switch {
	case r.failed:
	case len(r.Images) == 0:
		fmt.Fprintln(w, "no images: the manifests name none, or the file has no build step")
	default:
		var rows [][]string
		for _, i := range r.Images {
			rows = append(rows, []string{i.From, i.Action, i.To, i.Reason})
		}
		table(w, []string{"IMAGE", "ACTION", "BECAME", "REASON"}, rows)
	}
}
