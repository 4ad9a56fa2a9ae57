package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/stages"
)

type getOptions struct {
	remoteFlags
	outputFlags
	timeoutFlag
	inventoryFlags
	all bool
}

func newGetCommand(t *tool) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get",
		Short: "List inventories",
		Long:  "List what strake apply NAME has applied, and Kustomizer. strake inspect NAME lists\nthe objects of one.",
		Example: `  strake get inventories -A
  strake get inventory shop -n apps`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef(cmd, "expected inventories, or inventory NAME")
			}
			return &usageError{err: stages.WithHint(fmt.Errorf("there is no %q to get", args[0]), "strake get inventories, or strake get inventory NAME"), line: cmd.UseLine()}
		},
		RunE: func(*cobra.Command, []string) error { return nil }, // Args refuses all there is
	}
	cmd.AddCommand(newGetInventoriesCommand(t), newGetInventoryCommand(t))
	return cmd
}

func newGetInventoriesCommand(t *tool) *cobra.Command {
	var opts getOptions
	cmd := &cobra.Command{
		Use:   "inventories [flags]",
		Short: "List the inventories of a namespace, or of all",
		Example: `  strake get inventories
  strake get inventories -A -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.all && opts.given(cmd) {
				return usagef(cmd, "--namespace and --all-namespaces can't be given together")
			}
			return t.get(cmd.Context(), &opts)
		},
	}
	opts.add(cmd)
	cmd.Flags().BoolVarP(&opts.all, "all-namespaces", "A", false, "list all namespaces")
	return cmd
}

func newGetInventoryCommand(t *tool) *cobra.Command {
	var opts getOptions
	cmd := &cobra.Command{
		Use:     "inventory NAME [flags]",
		Short:   "Show one inventory",
		Example: "  strake get inventory shop -n apps",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.take(cmd, args); err != nil {
				return err
			}
			return t.get(cmd.Context(), &opts)
		},
		ValidArgsFunction: t.completeInventories(&opts.remoteFlags, &opts.namespace),
	}
	opts.add(cmd)
	return cmd
}

func (o *getOptions) add(cmd *cobra.Command) {
	o.addFormat(cmd)
	o.timeoutFlag.add(cmd)
	o.addCluster(cmd.Flags())
	o.addNamespace(cmd, "`NAMESPACE` of the inventories")
}

func (t *tool) get(ctx context.Context, o *getOptions) error {
	return t.conclude(ctx, "get", &o.outputFlags, func(*render.JSON) (printable, error) {
		deps, err := o.deps(t.userAgent())
		if err != nil {
			return nil, err
		}
		ctx, cancel := o.limit(ctx)
		defer cancel()
		result := &inventoriesResult{Namespace: o.namespace, Inventories: []stages.DeployedApp{}}
		if o.all {
			result.Namespace = ""
		}
		if o.inventory != "" {
			one, err := o.find(ctx, t, deps)
			if err == nil && one == nil {
				err = o.missing()
			}
			if err != nil {
				return nil, because(ctx, err)
			}
			result.Inventories = append(result.Inventories, *one)
			return result, nil
		}
		all, err := t.inventories(ctx, deps, result.Namespace)
		if err != nil {
			return nil, because(ctx, err)
		}
		result.Inventories = append(result.Inventories, all...)
		return result, nil
	})
}

// An inventoriesResult lists inventories.
type inventoriesResult struct {
	// Namespace is the one that was listed; empty means all.
	Namespace   string               `json:"namespace,omitempty"`
	Inventories []stages.DeployedApp `json:"inventories"`
}

func (r *inventoriesResult) print(w io.Writer) {
	header := []string{"NAME", "ENTRIES", "SOURCE", "REVISION", "LAST APPLIED"}
	if r.Namespace == "" {
		header = append([]string{"NAMESPACE"}, header...)
	}
	var rows [][]string
	for _, i := range r.Inventories {
		applied := ""
		if !i.Applied.IsZero() {
			applied = i.Applied.UTC().Format(time.RFC3339)
		}
		row := []string{i.Name, fmt.Sprint(i.Objects), i.Source, i.Revision, applied}
		if r.Namespace == "" {
			row = append([]string{i.Namespace}, row...)
		}
		rows = append(rows, row)
	}
	table(w, header, rows)
}
