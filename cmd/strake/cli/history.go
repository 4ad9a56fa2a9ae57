package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/pipeline"
	"strake.dev/strake/stages"
)

// stepFlag chooses one of several deploy steps.
type stepFlag struct{ step string }

func (f *stepFlag) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.step, "step", "", "deploy step of that `NAME`, where there are several")
}

type historyOptions struct {
	engineFlags
	stepFlag
}

func newHistoryCommand(t *tool) *cobra.Command {
	var opts historyOptions
	cmd := &cobra.Command{
		Use:   "history [flags]",
		Short: "List what was deployed earlier",
		Long: `List the recorded deploys of the app, the latest first: when and by what, from
which source, and how it ended. strake rollback goes back to one of them.`,
		Example: "  strake history -f app.yaml",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return t.history(cmd.Context(), &opts) },
	}
	opts.engineFlags.add(cmd)
	opts.stepFlag.add(cmd)
	return cmd
}

func (t *tool) history(ctx context.Context, o *historyOptions) error {
	return t.conclude(ctx, "history", &o.outputFlags, func(events *render.JSON) (printable, error) {
		s, err := t.open(ctx, &o.engineFlags)
		if err != nil {
			return nil, err
		}
		result := &historyResult{App: s.plan.App.Namespace + "/" + s.plan.App.Name, Revisions: []stages.Revision{}}
		_, err = t.work(ctx, s, &o.engineFlags, events, func(ctx context.Context, opts pipeline.Options) error {
			all, err := s.plan.History(ctx, opts, o.step)
			result.Revisions = append(result.Revisions, all...)
			return err
		})
		return orNil(result, err), err
	})
}

// A historyResult lists the deploys of an app.
type historyResult struct {
	App       string            `json:"app"`
	Revisions []stages.Revision `json:"revisions"`
}

func (r *historyResult) print(w io.Writer) {
	var rows [][]string
	for _, v := range r.Revisions {
		message := v.Message
		if !v.Kept {
			message += " (manifests not kept)"
		}
		rows = append(rows, []string{
			fmt.Sprint(v.Number), v.Applied.UTC().Format(time.RFC3339), v.Outcome, fmt.Sprint(v.Objects), from(v.Origin), v.By, message,
		})
	}
	table(w, []string{"REVISION", "APPLIED", "OUTCOME", "OBJECTS", "FROM", "BY", "MESSAGE"}, rows)
}

// from names an origin for people: source@revision, with commits cut short.
func from(o stages.Origin) string {
	revision := o.Revision
	const commit, short = 40, 12
	if len(revision) == commit {
		revision = revision[:short]
	}
	if o.Source == "" || revision == "" {
		return o.Source + revision
	}
	return o.Source + "@" + revision
}
