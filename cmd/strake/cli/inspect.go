package cli

import (
	"cmp"
	"context"
	"fmt"
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
	inventoryFlags
	tree bool
}

func newInspectCommand(t *tool) *cobra.Command {
	var opts inspectOptions
	cmd := &cobra.Command{
		Use:   "inspect [NAME] [flags]",
		Short: "List the deployed objects and their state",
		Long: `List the objects of the app in the cluster, and their state; with NAME or
--inventory-name, those of an inventory that strake apply NAME or Kustomizer has
made, and where they come from.`,
		Example: `  strake inspect -f app.yaml
  strake inspect -f app.yaml --tree
  strake inspect shop -n apps`,
		RunE: func(cmd *cobra.Command, args []string) error {
			named, err := opts.named(cmd, args, &opts.engineFlags)
			if err != nil {
				return err
			}
			if named {
				return t.inspectInventory(cmd.Context(), &opts)
			}
			return t.inspect(cmd.Context(), &opts)
		},
		ValidArgsFunction: t.completeInventories(&opts.remoteFlags, &opts.namespace),
	}
	opts.engineFlags.add(cmd)
	opts.inventoryFlags.add(cmd)
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

func (t *tool) inspectInventory(ctx context.Context, o *inspectOptions) error {
	return t.conclude(ctx, "inspect", &o.outputFlags, func(events *render.JSON) (printable, error) {
		deps, err := o.deps(t.userAgent())
		if err != nil {
			return nil, err
		}
		there, err := o.find(ctx, t, deps)
		if err == nil && there == nil {
			err = o.missing()
		}
		if err != nil {
			return nil, because(ctx, err)
		}
		s, err := o.open(t, deps, nil)
		if err != nil {
			return nil, err
		}
		result := &inspectedInventory{Inventory: there, inspectResult: inspectResult{App: o.namespace + "/" + o.inventory, Objects: []stages.Object{}, tree: o.tree}}
		_, err = t.work(ctx, s, &o.engineFlags, events, func(ctx context.Context, opts pipeline.Options) error {
			found, err := s.plan.Inspect(ctx, opts)
			for _, one := range found {
				if o.tree || one.Owner == inventoryPlugin {
					result.Objects = append(result.Objects, one)
				}
			}
			return err
		})
		return orNil(result, err), err
	})
}

// An inspectedInventory is an inventory with its objects.
type inspectedInventory struct {
	Inventory *stages.DeployedApp `json:"inventory"`
	inspectResult
}

func (r *inspectedInventory) print(w io.Writer) {
	i := r.Inventory
	fmt.Fprintf(w, "Inventory: %s/%s\n", i.Namespace, i.Name)
	if !i.Applied.IsZero() {
		fmt.Fprintf(w, "Applied: %s\n", i.Applied.UTC().Format(time.RFC3339))
	}
	for _, line := range []struct{ what, text string }{{"Source", i.Source}, {"Revision", i.Revision}, {"Outcome", i.Outcome}, {"By", i.By}} {
		if line.text != "" {
			fmt.Fprintf(w, "%s: %s\n", line.what, render.Line(line.text))
		}
	}
	for _, a := range i.Artifacts {
		fmt.Fprintf(w, "Artifact: %s\n", render.Line(a))
	}
	r.inspectResult.print(w)
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
