package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/stages"
)

type appsOptions struct {
	remoteFlags
	outputFlags
	timeoutFlag
	namespace string
	all       bool
}

func newAppsCommand(t *tool) *cobra.Command {
	var opts appsOptions
	cmd := &cobra.Command{
		Use:   "apps [flags]",
		Short: "List the apps that are deployed in a cluster",
		Long: `List the apps that a cluster has, whichever tool has deployed them, as far as one
of the deploy plugins knows its records. No file is needed.`,
		Example: `  strake apps
  strake apps -n team
  strake apps -A -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.all && opts.namespace != "" {
				return usagef(cmd, "--namespace and --all-namespaces can't be given together")
			}
			return t.apps(cmd.Context(), &opts)
		},
	}
	opts.addFormat(cmd)
	opts.timeoutFlag.add(cmd)
	opts.addCluster(cmd.Flags())
	cmd.Flags().StringVarP(&opts.namespace, "namespace", "n", "", "`NAMESPACE` to list (default: that of the kubeconfig's context)")
	cmd.Flags().BoolVarP(&opts.all, "all-namespaces", "A", false, "list all namespaces")
	return cmd
}

func (t *tool) apps(ctx context.Context, o *appsOptions) error {
	return t.conclude(ctx, "apps", &o.outputFlags, func(*render.JSON) (printable, error) {
		deps, err := o.deps(t.userAgent())
		if err != nil {
			return nil, err
		}
		namespace := ""
		if !o.all {
			namespace = cmp.Or(o.namespace, deps.Cluster.Namespace(), metav1.NamespaceDefault)
		}
		ctx, cancel := o.limit(ctx)
		defer cancel()
		found, err := deployed(ctx, t.Plugins(deps), namespace)
		if err != nil {
			return nil, because(ctx, err)
		}
		return &appsResult{Namespace: namespace, Apps: found}, nil
	})
}

// deployed asks all plugins that can tell, and sorts what they say by namespace and name.
func deployed(ctx context.Context, plugins []stages.Plugin, namespace string) ([]stages.DeployedApp, error) {
	found := make([][]stages.DeployedApp, len(plugins))
	group, ctx := errgroup.WithContext(ctx)
	for i, p := range plugins {
		if p.Apps == nil {
			continue
		}
		group.Go(func() (err error) {
			if found[i], err = p.Apps(ctx, namespace); err != nil {
				return fmt.Errorf("apps of %s: %w", p.Name, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	all := append([]stages.DeployedApp{}, slices.Concat(found...)...)
	slices.SortFunc(all, func(a, b stages.DeployedApp) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Plugin, b.Plugin))
	})
	return all, nil
}

// An appsResult lists apps.
type appsResult struct {
	// Namespace is the one that was listed; empty means all.
	Namespace string               `json:"namespace,omitempty"`
	Apps      []stages.DeployedApp `json:"apps"`
}

func (r *appsResult) print(w io.Writer) {
	if len(r.Apps) == 0 {
		where := "in the cluster"
		if r.Namespace != "" {
			where = "in namespace " + r.Namespace
		}
		fmt.Fprintf(w, "no app is deployed %s\n", where)
		return
	}
	var rows [][]string
	for _, a := range r.Apps {
		objects, since := "", ""
		if a.Objects >= 0 {
			objects = fmt.Sprint(a.Objects)
		}
		if !a.Applied.IsZero() {
			since = duration.HumanDuration(time.Since(a.Applied))
		}
		rows = append(rows, []string{a.Namespace, a.Name, a.Plugin, objects, a.Outcome, since, from(a.Origin), a.By})
	}
	table(w, []string{"NAMESPACE", "NAME", "PLUGIN", "OBJECTS", "OUTCOME", "APPLIED", "FROM", "BY"}, rows)
}
