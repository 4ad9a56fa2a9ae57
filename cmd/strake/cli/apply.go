package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"

	"strake.dev/strake/internal/planfile"
	"strake.dev/strake/internal/render"
	"strake.dev/strake/internal/signing"
	"strake.dev/strake/pipeline"
	"strake.dev/strake/stages"
)

type applyOptions struct {
	engineFlags
	setFlags
	wait             bool
	source, revision string
}

func newApplyCommand(t *tool) *cobra.Command {
	var opts applyOptions
	cmd := &cobra.Command{
		Use:   "apply {PLAN|NAME {-a URL|-f FILE|-k FOLDER}} [flags]",
		Short: "Apply manifests to an inventory, or carry out a saved plan",
		Long: `With manifests (--artifact, --filename, --kustomize), apply them by server-side
apply and keep an inventory NAME of what was applied, as Kustomizer does. One line
tells what has become of each object, in the order in which they are applied.
What can be known to fail is found before anything is written; whatever happens
after that, the inventory has all that was written, for strake delete NAME.
strake diff NAME with the same flags shows beforehand what would change.

With a PLAN that strake plan --out has saved, make its changes, and wait until the
objects are ready. Nothing is fetched, rendered or built. If the cluster is no
longer as it was when the plan was made, nothing is written, and everything
that has changed is listed (exit code 6). A plan without changes asks the
cluster nothing.

With --verify-key, a plan or an artifact that isn't signed by that key is refused
(exit code 5, or 9 if it has no signature at all) before the cluster is asked
anything.`,
		Example: `  strake apply shop -a oci://ghcr.io/org/shop-config:v1 --prune --wait
  strake apply shop -n apps -k ./overlays/prod -p patch.yaml
  strake plan -f app.yaml --out plan.json --sign-key cosign.key
  strake apply plan.json --verify-key cosign.pub`,
		RunE: func(cmd *cobra.Command, args []string) error {
			planned, err := opts.planned(cmd, args)
			switch {
			case err != nil:
				return err
			case planned:
				return t.apply(cmd.Context(), args[0], &opts)
			}
			return t.applySet(cmd.Context(), &opts)
		},
		ValidArgsFunction: t.completeInventories(&opts.remoteFlags, &opts.namespace),
	}
	opts.outputFlags.add(cmd)
	opts.addReports(t, cmd)
	opts.timeoutFlag.add(cmd)
	opts.addCluster(cmd.Flags())
	opts.addRegistry(cmd.Flags())
	opts.setFlags.add(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&opts.wait, "wait", false, "wait until all objects are ready, and pruned ones gone")
	flags.StringVar(&opts.source, "source", "", "where the manifests come from, for the inventory (default: that of the artifact)")
	flags.StringVar(&opts.revision, "revision", "", "`REVISION` of the source, for the inventory (default: that of the artifact)")
	_ = cmd.RegisterFlagCompletionFunc("artifact", t.completeArtifacts(&opts.remoteFlags)) // the flag exists
	return cmd
}

// planned tells whether a saved plan is to be carried out. Otherwise there are manifests and an inventory.
func (o *applyOptions) planned(cmd *cobra.Command, args []string) (bool, error) {
	refuse := func(hint, format string, args ...any) (bool, error) {
		return false, &usageError{err: stages.WithHint(fmt.Errorf(format, args...), "%s", hint), line: cmd.UseLine()}
	}
	switch {
	case len(args) == 1 && isFile(args[0]) && o.given(cmd) || len(args) == 1 && isFile(args[0]) && !o.empty():
		return refuse("strake apply "+args[0]+" carries out the plan; to apply manifests to an inventory of that name, use --inventory-name",
			"%s is a file, and a saved plan takes no manifests and no inventory", args[0])
	case !o.empty():
		return false, errors.Join(o.take(cmd, args), o.checkKeys(cmd))
	case o.given(cmd) || len(args) == 2 && args[0] == inventoryWord:
		return false, noInputs(cmd)
	case len(args) == 0:
		return refuse("strake apply NAME with -a, -f or -k applies manifests; strake apply FILE carries out a plan", "expected a saved plan, or an inventory and manifests")
	case len(args) > 1:
		return false, usagef(cmd, "expected one saved plan, found %d arguments", len(args))
	case !isFile(args[0]) && len(validation.IsDNS1123Label(args[0])) == 0:
		return refuse("to apply manifests to inventory "+args[0]+", name them with -a, -f or -k", "there is no saved plan %s here", args[0])
	}
	return true, nil
}

func (t *tool) apply(ctx context.Context, file string, o *applyOptions) error {
	return t.conclude(ctx, "apply", &o.outputFlags, func(events *render.JSON) (printable, error) {
		var verifier *signing.Verifier
		if len(o.verify.keys) > 1 {
			return nil, fmt.Errorf("--verify-key is given %d times: a saved plan is signed by one key", len(o.verify.keys))
		}
		for _, key := range o.verify.keys {
			var err error
			if verifier, err = signing.LoadVerifier(key); err != nil {
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
