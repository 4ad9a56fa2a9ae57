package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"strake.dev/strake/internal/planfile"
	"strake.dev/strake/internal/render"
	"strake.dev/strake/internal/signing"
	"strake.dev/strake/pipeline"
	"strake.dev/strake/stages"
)

type applyOptions struct {
	engineFlags
	limitFlags
	verifyKey string
}

func newApplyCommand(t *tool) *cobra.Command {
	var opts applyOptions
	cmd := &cobra.Command{
		Use:   "apply FILE [flags]",
		Short: "Carry out a saved plan, exactly",
		Long: `Make the changes of a plan that strake plan --out has saved, and wait until the
objects are ready. Nothing is fetched, rendered or built. If the cluster is no
longer as it was when the plan was made, nothing is written, and everything
that has changed is listed (exit code 6). A plan without changes asks the
cluster nothing.

With --verify-key, a plan that isn't signed by that key is refused (exit
code 5, or 9 if it has no signature at all) before the cluster is asked anything.`,
		Example: `  strake plan -f app.yaml --out plan.json --sign-key cosign.key
  strake apply plan.json --verify-key cosign.pub`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef(cmd, "expected one saved plan, found %d arguments", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return t.apply(cmd.Context(), args[0], &opts) },
	}
	opts.outputFlags.add(cmd)
	opts.timeoutFlag.add(cmd)
	opts.addCluster(cmd.Flags())
	opts.limitFlags.add(cmd)
	cmd.Flags().StringVar(&opts.verifyKey, "verify-key", "", "refuse a plan that isn't signed by the public key in `FILE`")
	fromEnv(cmd.Flags(), "verify-key", "STRAKE_VERIFY_KEY")
	return cmd
}

func (t *tool) apply(ctx context.Context, file string, o *applyOptions) error {
	return t.conclude(ctx, "apply", &o.outputFlags, func(events *render.JSON) (printable, error) {
		var verifier *signing.Verifier
		if o.verifyKey != "" {
			var err error
			if verifier, err = signing.LoadVerifier(o.verifyKey); err != nil {
				return nil, err
			}
		}
		saved, signed, err := planfile.Read(file, verifier)
		if err != nil {
			return nil, err
		}
		result := &applyResult{
			App: saved.App.Namespace + "/" + saved.App.Name, Plan: file, Created: saved.Created, Origin: saved.Origin,
			Verified: signed && verifier != nil, UpToDate: saved.Empty(),
		}
		deps, err := o.deps(t.userAgent())
		if err != nil {
			return nil, err
		}
		plan, steps, err := restore(file, saved, stages.NewRegistry(t.Plugins(deps)...))
		if err != nil || result.UpToDate {
			return orNil(result, err), err
		}
		s := &session{file: file, plan: plan, opts: pipeline.Options{
			Version: t.version(), Dir: folder(file), Limits: o.limits(),
			Cluster: deps.Cluster.Objects(plan.App.Namespace), Target: deps.Cluster.Target,
		}}
		summary, err := t.work(ctx, s, &o.engineFlags, events, func(ctx context.Context, opts pipeline.Options) error {
			return s.plan.Apply(ctx, opts, saved.Origin, steps)
		})
		result.Changes, result.Seconds = summary.Changes, summary.Seconds
		return orNil(result, err), err
	})
}

// orNil is no result for a command that failed.
func orNil(result printable, err error) printable {
	if err != nil {
		return nil
	}
	return result
}

// An applyResult is what a saved plan has led to.
type applyResult struct {
	App  string `json:"app"`
	Plan string `json:"plan"`
	// Created is when the plan was made.
	Created time.Time     `json:"created"`
	Origin  stages.Origin `json:"origin,omitzero"`
	// Verified tells whether the plan's signature was asked for, and is right.
	Verified bool            `json:"verified"`
	UpToDate bool            `json:"upToDate"`
	Changes  []stages.Change `json:"changes,omitempty"`
	Seconds  float64         `json:"seconds"`
}

func (r *applyResult) print(w io.Writer) {
	if r.UpToDate {
		fmt.Fprintf(w, "nothing to apply: the plan of %s has no changes\n", r.App)
		return
	}
	fmt.Fprintf(w, "deploy: %s\n", applied(r.Changes))
	fmt.Fprintf(w, "done in %s\n", render.Seconds(time.Duration(r.Seconds*float64(time.Second))))
}
