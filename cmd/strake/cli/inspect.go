package cli

import (
	"cmp"
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/pipeline"
	"strake.dev/strake/stages"
)

type inspectOptions struct {
	engineFlags
	tree bool
}

func newInspectCommand(t *tool) *cobra.Command {
	var opts inspectOptions
	cmd := &cobra.Command{
		Use:     "inspect [flags]",
		Short:   "List the deployed objects and their state",
		Example: "  strake inspect -f app.yaml\n  strake inspect -f app.yaml --tree",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return t.inspect(cmd.Context(), &opts) },
	}
	opts.add(cmd)
	cmd.Flags().BoolVar(&opts.tree, "tree", false, "show objects below those that they belong to, with images and what others have changed")
	return cmd
}

func (t *tool) inspect(ctx context.Context, o *inspectOptions) error {
	return t.conclude(ctx, "inspect", &o.outputFlags, func(events *render.JSON) (printable, error) {
		s, err := t.open(ctx, &o.engineFlags)
		if err != nil {
			return nil, err
		}
		result := &inspectResult{App: s.plan.App.Namespace + "/" + s.plan.App.Name, Objects: []stages.Object{}, tree: o.tree}
		_, err = t.work(ctx, s, &o.engineFlags, events, func(ctx context.Context, opts pipeline.Options) error {
			found, err := s.plan.Inspect(ctx, opts)
			result.Objects = append(result.Objects, found...)
			return err
		})
		if err != nil {
			return nil, err
		}
		return result, nil
	})
}

// An inspectResult lists the objects of a deployed app.
type inspectResult struct {
	App     string          `json:"app"`
	Objects []stages.Object `json:"objects"`

	tree bool
}

func (r *inspectResult) print(w io.Writer) {
	if r.tree {
		printTree(w, r.Objects)
		return
	}
	var rows [][]string
	for _, o := range r.Objects {
		rows = append(rows, []string{cmp.Or(o.Namespace, "(cluster)"), o.Kind, o.Name, o.Owner, o.State, o.Reason, age(o.Created)})
	}
	table(w, []string{"NAMESPACE", "KIND", "NAME", "OWNER", "STATE", "REASON", "AGE"}, rows)
}

// age says how long ago a time in RFC 3339 was, in kubectl's way.
func age(created string) string {
	at, err := time.Parse(time.RFC3339, created)
	if err != nil {
		return ""
	}
	return duration.HumanDuration(time.Since(at))
}
