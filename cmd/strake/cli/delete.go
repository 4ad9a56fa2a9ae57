package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/stages"
)

func newDeleteCommand(t *tool) *cobra.Command {
	var opts engineFlags
	cmd := &cobra.Command{
		Use:     "delete [flags]",
		Short:   "Delete what has been deployed",
		Long:    "Delete the objects of the app from the cluster, and the record of it.\nDeleting what isn't there is not an error.",
		Example: "  strake delete -f app.yaml",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return t.delete(cmd.Context(), &opts) },
	}
	opts.add(cmd)
	return cmd
}

func (t *tool) delete(ctx context.Context, o *engineFlags) error {
	return t.conclude(ctx, "delete", &o.outputFlags, func(events *render.JSON) (printable, error) {
		s, err := t.open(ctx, o)
		if err != nil {
			return nil, err
		}
		summary, err := t.work(ctx, s, o, events, s.plan.Delete)
		if err != nil {
			return nil, err
		}
		return &deleteResult{App: s.plan.App.Namespace + "/" + s.plan.App.Name, Changes: summary.Changes}, nil
	})
}

// A deleteResult is what was deleted.
type deleteResult struct {
	App     string          `json:"app"`
	Changes []stages.Change `json:"changes,omitempty"`
}

func (r *deleteResult) print(w io.Writer) {
	if n := render.Counts(r.Changes)["delete"]; n > 0 {
		fmt.Fprintf(w, "deleted %s: %d objects\n", r.App, n)
		return
	}
	fmt.Fprintf(w, "nothing was deleted: %s\n", r.App)
}
