package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/pipeline"
	"strake.dev/strake/stages"
)

type deleteOptions struct {
	engineFlags
	inventoryFlags
	// lock says which executables may delete.
	lock workspaceFlags
	wait bool
}

func newDeleteCommand(t *tool) *cobra.Command {
	var opts deleteOptions
	cmd := &cobra.Command{
		Use:   "delete [NAME] [flags]",
		Short: "Delete what has been deployed",
		Long: `Delete the objects of the app from the cluster, and the record of it; with NAME
or --inventory-name, those of an inventory that strake apply NAME or Kustomizer
has made, in reverse order. Deleting what isn't there is not an error.`,
		Example: `  strake delete -f app.yaml
  strake delete shop -n apps`,
		RunE: func(cmd *cobra.Command, args []string) error {
			named, err := opts.named(cmd, args, &opts.engineFlags, "wait")
			if err != nil {
				return err
			}
			if named {
				return t.deleteInventory(cmd.Context(), &opts)
			}
			return t.delete(cmd.Context(), &opts)
		},
		ValidArgsFunction: t.completeInventories(&opts.remoteFlags, &opts.namespace),
	}
	opts.engineFlags.add(cmd)
	opts.addReports(t, cmd)
	opts.inventoryFlags.add(cmd)
	opts.lock.addLock(cmd)
	cmd.Flags().BoolVar(&opts.wait, "wait", true, "wait until the objects of the inventory are gone")
	return cmd
}

// named tells whether a command that takes a file or an inventory is called with an inventory. more are
// flags for inventories only.
func (f *inventoryFlags) named(cmd *cobra.Command, args []string, file *engineFlags, more ...string) (bool, error) {
	if len(args) == 0 && f.inventory == "" {
		for _, name := range append(more, "namespace", "inventory-namespace") {
			if cmd.Flags().Changed(name) {
				return false, usagef(cmd, "--%s is for an inventory: name one", name)
			}
		}
		return false, nil
	}
	if cmd.Flags().Changed("file") {
		err := fmt.Errorf("a file (%s) and an inventory can't be given together", file.file.value)
		return false, &usageError{err: stages.WithHint(err, "-f is the file of an App or Pipeline; an inventory needs none"), line: cmd.UseLine()}
	}
	if len(args) == 1 && isFile(args[0]) {
		err := fmt.Errorf("unexpected argument %q", args[0])
		return false, &usageError{err: stages.WithHint(err, "a file is given with -f: strake %s -f %s; an inventory of that name with --inventory-name", cmd.Name(), args[0]), line: cmd.UseLine()}
	}
	return true, f.take(cmd, args)
}

func (t *tool) delete(ctx context.Context, o *deleteOptions) error {
	return t.conclude(ctx, "delete", &o.outputFlags, func(events *render.JSON) (printable, error) {
		s, err := t.openAll(ctx, &o.engineFlags)
		if err != nil {
			return nil, err
		}
		if err := o.lock.lock(s); err != nil {
			return nil, err
		}
		summary, err := t.work(ctx, s, &o.engineFlags, events, func(ctx context.Context, opts pipeline.Options) error {
			return s.each(ctx, opts, func(ctx context.Context, u *unit, opts pipeline.Options) error { return u.Plan.Delete(ctx, opts) })
		})
		if err != nil {
			return nil, err
		}
		return &deleteResult{App: s.name(), Changes: summary.Changes}, nil
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

// inventoryPrefix is what the names of the ConfigMaps of inventories begin with.
const inventoryPrefix = "inv-"

func (t *tool) deleteInventory(ctx context.Context, o *deleteOptions) error {
	return t.conclude(ctx, "delete", &o.outputFlags, func(*render.JSON) (printable, error) {
		deps, err := o.deps(t.userAgent())
		if err != nil {
			return nil, err
		}
		s, err := o.open(t, deps, map[string]any{"wait": o.wait})
		if err != nil {
			return nil, err
		}
		out := t.text(&o.outputFlags)
		fmt.Fprintln(out, "retrieving inventory...")
		there, err := o.find(ctx, t, deps)
		if err != nil {
			return nil, because(ctx, err)
		}
		if there != nil {
			fmt.Fprintf(out, "deleting %d manifest(s)...\n", there.Objects)
		}
		s.also = &narration{w: out}
		summary, err := t.narrate(ctx, s, &o.outputFlags, &o.timeoutFlag, s.plan.Delete)
		if err != nil {
			return nil, err
		}
		result := &deletedInventory{Inventory: o.namespace + "/" + o.inventory, Changes: summary.Changes, Deleted: there != nil, label: o.label(), wait: o.wait}
		if there != nil {
			record := stages.Change{Op: "delete", Kind: "ConfigMap", Namespace: o.namespace, Name: inventoryPrefix + o.inventory}
			result.Changes = append(result.Changes, record)
			fmt.Fprintf(out, "%s deleted\n", objectName(record))
		}
		return result, nil
	})
}

// text is where a command prints while it works; nowhere if it prints events.
func (t *tool) text(o *outputFlags) io.Writer {
	if o.format.value == formatJSON {
		return io.Discard
	}
	return t.harmless(t.out)
}

// A deletedInventory is what was deleted with an inventory.
type deletedInventory struct {
	Inventory string `json:"inventory"`
	// Deleted tells whether there was one.
	Deleted bool            `json:"deleted"`
	Changes []stages.Change `json:"changes,omitempty"`

	label string
	wait  bool
}

func (r *deletedInventory) print(w io.Writer) {
	switch {
	case !r.Deleted:
		fmt.Fprintf(w, "nothing was deleted: %s isn't there\n", r.label)
	case r.wait:
		// The inventory goes last, when the objects are gone, so that a delete that was cut short can be repeated.
		fmt.Fprintln(w, "waiting for resources to be terminated...")
		fmt.Fprintln(w, "all resources have been deleted")
	}
}
