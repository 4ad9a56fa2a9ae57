package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/pipeline"
	"strake.dev/strake/stages"
)

type rollbackOptions struct {
	engineFlags
	stepFlag
	limitFlags
	workspace workspaceFlags
}

func newRollbackCommand(t *tool) *cobra.Command {
	var opts rollbackOptions
	cmd := &cobra.Command{
		Use:   "rollback [REVISION] [flags]",
		Short: "Deploy what was deployed earlier",
		Long: `Deploy the recorded manifests of an earlier revision: of the one that is given,
or else of the latest one before the current that succeeded. That is a deploy
like any other, with a revision of its own. Nothing is fetched, rendered or
built; the next strake run deploys what the file says.`,
		Example: `  strake history -f app.yaml
  strake rollback -f app.yaml
  strake rollback 3 -f app.yaml`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef(cmd, "expected at most one revision, found %d arguments", len(args))
			}
			if len(args) == 1 {
				if n, err := strconv.Atoi(args[0]); err != nil || n < 1 {
					return &usageError{
						err:  stages.WithHint(fmt.Errorf("revision %q: expected a number from 1", args[0]), "strake history lists the revisions"),
						line: cmd.UseLine(),
					}
				}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			number := 0
			if len(args) == 1 {
				number, _ = strconv.Atoi(args[0]) // checked above
			}
			return t.rollback(cmd.Context(), number, &opts)
		},
	}
	opts.engineFlags.add(cmd)
	opts.addReports(t, cmd)
	opts.stepFlag.add(cmd)
	opts.limitFlags.add(cmd)
	opts.workspace.addFolder(cmd)
	return cmd
}

func (t *tool) rollback(ctx context.Context, number int, o *rollbackOptions) error {
	return t.conclude(ctx, "rollback", &o.outputFlags, func(events *render.JSON) (printable, error) {
		s, err := t.open(ctx, &o.engineFlags)
		if err != nil {
			return nil, err
		}
		if err := o.workspace.place(s); err != nil {
			return nil, err
		}
		s.opts.Limits = o.limits()
		result := &rollbackResult{App: s.plan.App.Namespace + "/" + s.plan.App.Name}
		summary, err := t.work(ctx, s, &o.engineFlags, events, func(ctx context.Context, opts pipeline.Options) (err error) {
			result.Revision, err = s.plan.Rollback(ctx, opts, o.step, number)
			return err
		})
		result.Changes, result.Seconds = summary.Changes, summary.Seconds
		return orNil(result, err), err
	})
}

// A rollbackResult says what was gone back to.
type rollbackResult struct {
	App string `json:"app"`
	// Revision is the one whose manifests were deployed.
	Revision stages.Revision `json:"revision"`
	Changes  []stages.Change `json:"changes,omitempty"`
	Seconds  float64         `json:"seconds"`
}

func (r *rollbackResult) print(w io.Writer) {
	at := fmt.Sprintf("revision %d of %s", r.Revision.Number, r.Revision.Applied.UTC().Format(time.RFC3339))
	if origin := from(r.Revision.Origin); origin != "" {
		at += " (" + render.Line(origin) + ")"
	}
	fmt.Fprintf(w, "%s is back at %s: %s\n", r.App, at, applied(r.Changes))
}
