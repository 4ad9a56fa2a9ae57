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

type adoptOptions struct {
	inventoryFlags
	remoteFlags
	outputFlags
	timeoutFlag
	from               enum
	dryRun, keepRecord bool
}

func newAdoptCommand(t *tool) *cobra.Command {
	var opts adoptOptions
	cmd := &cobra.Command{
		Use:   "adopt NAME --from {kapp|kustomizer} [flags]",
		Short: "Take over what kapp or Kustomizer has deployed",
		Long: `Make the objects of an app of kapp, or of an inventory of Kustomizer, those of the
inventory NAME, which must have the same name and namespace. Only their metadata is
written: no pod is started anew. kapp's record is deleted last, so that an adoption
that was cut short can be repeated. After it, strake apply NAME with the same
manifests has nothing to change.`,
		Example: `  strake adopt shop --from kapp -n apps --dry-run
  strake adopt shop --from kustomizer`,
		ValidArgsFunction: upTo(1, t.completeDeployed(&opts.remoteFlags, &opts.namespace)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.take(cmd, args); err != nil {
				return err
			}
			if opts.from.value == "" {
				return usagef(cmd, "--from is missing: kapp or kustomizer")
			}
			return t.adopt(cmd.Context(), &opts)
		},
	}
	opts.inventoryFlags.add(cmd)
	opts.outputFlags.add(cmd)
	opts.addReports(t, cmd)
	opts.timeoutFlag.add(cmd)
	opts.addCluster(cmd.Flags())
	opts.from = enum{allowed: []string{"kapp", "kustomizer"}, what: "TOOL"}
	addEnum(cmd, &opts.from, "from", "", "the tool to take over from")
	cmd.Flags().BoolVar(&opts.dryRun, "dry-run", false, "only list what would be taken over")
	cmd.Flags().BoolVar(&opts.keepRecord, "keep-record", false, "leave kapp's record of the app in the cluster")
	return cmd
}

func (t *tool) adopt(ctx context.Context, o *adoptOptions) error {
	return t.conclude(ctx, "adopt", &o.outputFlags, func(*render.JSON) (printable, error) {
		deps, err := o.deps(t.userAgent())
		if err != nil {
			return nil, err
		}
		s, err := o.open(t, deps, nil)
		if err != nil {
			return nil, err
		}
		result := &adoptedInventory{Inventory: o.namespace + "/" + o.inventory, Changes: []stages.Change{}, DryRun: o.dryRun}
		_, err = t.narrate(ctx, s, &o.outputFlags, &o.timeoutFlag, func(ctx context.Context, opts pipeline.Options) error {
			changes, err := s.plan.Adopt(ctx, opts, stages.Adoption{From: o.from.value, DryRun: o.dryRun, KeepRecord: o.keepRecord})
			result.Changes = append(result.Changes, changes...)
			return err
		})
		return orNil(result, err), err
	})
}

// An adoptedInventory is what was taken over.
type adoptedInventory struct {
	Inventory string          `json:"inventory"`
	DryRun    bool            `json:"dryRun,omitempty"`
	Changes   []stages.Change `json:"changes"`
}

func (r *adoptedInventory) print(w io.Writer) {
	verb := "adopted"
	if r.DryRun {
		verb = "would be adopted"
	}
	for _, c := range r.Changes {
		fmt.Fprintf(w, "%s %s\n", objectName(c), verb)
	}
	if !r.DryRun {
		fmt.Fprintf(w, "inventory %s has %d object(s)\n", r.Inventory, len(r.Changes))
	}
}
