package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/pipeline"
	"strake.dev/strake/stages"
)

type diffOptions struct {
	setFlags
	remoteFlags
	outputFlags
	timeoutFlag
	exitCode bool
}

func newDiffCommand(t *tool) *cobra.Command {
	var opts diffOptions
	cmd := &cobra.Command{
		Use:   "diff NAME {-a URL|-f FILE|-k FOLDER} [flags]",
		Short: "Show what applying manifests to an inventory would change",
		Long: `Show which objects strake apply NAME with the same flags would create, change or,
with --prune, delete, and how changed ones would differ. The API server tries the
changes out, and nothing is written. Values of Secrets are masked.

The exit code is 0 whether there are changes or not; with --exit-code it is 2 if
there are.`,
		Example: `  strake diff shop -a oci://ghcr.io/org/shop-config:v2 --prune
  strake artifact pull oci://ghcr.io/org/shop-config:v2 | strake diff shop -f -
  strake diff shop -n apps -k ./overlays/prod --exit-code`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(opts.take(cmd, args), opts.checkKeys(cmd)); err != nil {
				return err
			}
			if opts.empty() {
				return noInputs(cmd)
			}
			return t.diff(cmd.Context(), &opts)
		},
		ValidArgsFunction: t.completeInventories(&opts.remoteFlags, &opts.namespace),
	}
	opts.setFlags.add(cmd)
	opts.outputFlags.add(cmd)
	opts.addReports(t, cmd)
	opts.timeoutFlag.add(cmd)
	opts.addCluster(cmd.Flags())
	opts.addRegistry(cmd.Flags())
	cmd.Flags().BoolVar(&opts.exitCode, "exit-code", false, "exit with 2 when there are changes")
	_ = cmd.RegisterFlagCompletionFunc("artifact", t.completeArtifacts(&opts.remoteFlags)) // the flag exists
	return cmd
}

func (t *tool) diff(ctx context.Context, o *diffOptions) error {
	return t.conclude(ctx, "diff", &o.outputFlags, func(*render.JSON) (printable, error) {
		ctx, cancel := o.limit(ctx)
		defer cancel()
		// What is pulled is no part of the differences.
		s, in, err := o.open(ctx, t, &o.remoteFlags, &outputFlags{format: enum{value: formatJSON}}, false)
		if err != nil {
			return nil, because(ctx, err)
		}
		text, err := in.YAML()
		if err != nil {
			return nil, err
		}
		result := &diffResult{Inventory: o.namespace + "/" + o.inventory, Changes: []stages.Change{}}
		_, err = t.narrate(ctx, s, &o.outputFlags, &timeoutFlag{}, func(ctx context.Context, opts pipeline.Options) error {
			changes, err := s.plan.Compare(ctx, opts, in.origin("", ""), text)
			result.Changes = append(result.Changes, changes...)
			return err
		})
		if err != nil {
			return nil, err
		}
		result.Pending = slices.ContainsFunc(result.Changes, func(c stages.Change) bool { return render.Pending(c.Op) })
		if result.Pending && o.exitCode {
			return result, errPending
		}
		return result, nil
	})
}

// A diffResult is what an apply would change.
type diffResult struct {
	Inventory string `json:"inventory"`
	// Pending tells whether there is any change.
	Pending bool            `json:"pending"`
	Changes []stages.Change `json:"changes"`
}

func (r *diffResult) print(w io.Writer) {
	verbs := map[string]string{"create": "created", "update": "drifted", "delete": "deleted"}
	for _, c := range r.Changes {
		if verbs[c.Op] == "" {
			continue
		}
		fmt.Fprintf(w, "► %s %s\n", objectName(c), verbs[c.Op])
		if c.Op != "update" {
			continue
		}
		// The names of the two states are said already.
		if at := strings.Index(c.Diff, "\n@@"); at >= 0 {
			fmt.Fprint(w, render.Text(c.Diff[at+1:]))
		}
	}
}
