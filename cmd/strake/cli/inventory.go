package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"

	"strake.dev/strake/pipeline"
	"strake.dev/strake/plugins"
	"strake.dev/strake/stages"
)

const (
	// inventoryPlugin is the deploy plugin that keeps inventories.
	inventoryPlugin = "ssa"
	// inventoryWord may stand before the name of an inventory.
	inventoryWord = "inventory"
	// defaultNamespace is that of inventories, whatever the kubeconfig's context prefers: Kustomizer's.
	defaultNamespace = "default"
)

// inventoryFlags name an inventory.
type inventoryFlags struct{ inventory, namespace string }

func (f *inventoryFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.inventory, "inventory-name", "i", "", "`NAME` of the inventory, instead of the argument")
	f.addNamespace(cmd, "`NAMESPACE` of the inventory, and of objects that name none")
}

func (f *inventoryFlags) addNamespace(cmd *cobra.Command, usage string) {
	cmd.Flags().StringVarP(&f.namespace, "namespace", "n", defaultNamespace, usage)
	cmd.Flags().StringVar(&f.namespace, "inventory-namespace", defaultNamespace, "the same as --namespace")
	cmd.MarkFlagsMutuallyExclusive("namespace", "inventory-namespace")
}

// given tells whether the command line names an inventory, or says something about one.
func (f *inventoryFlags) given(cmd *cobra.Command) bool {
	return slices.ContainsFunc([]string{"inventory-name", "namespace", "inventory-namespace"}, cmd.Flags().Changed)
}

// take reads the name from the arguments NAME or inventory NAME.
func (f *inventoryFlags) take(cmd *cobra.Command, args []string) error {
	if len(args) > 1 && args[0] == inventoryWord {
		args = args[1:]
	}
	switch {
	case len(args) > 1:
		return usagef(cmd, "expected one name of an inventory, found %d arguments", len(args))
	case len(args) == 1 && f.inventory != "" && f.inventory != args[0]:
		return usagef(cmd, "two names of inventories: %s and --inventory-name %s", args[0], f.inventory)
	case len(args) == 1:
		f.inventory = args[0]
	case f.inventory == "":
		return &usageError{err: stages.WithHint(errors.New("no inventory is named"), "name one as the argument, or with --inventory-name; strake get inventories lists them"), line: cmd.UseLine()}
	}
	const rules = "lower-case letters, digits, dashes%s, beginning and ending with a letter or digit"
	switch {
	case len(validation.IsDNS1123Subdomain(f.inventory))+len(validation.IsValidLabelValue(f.inventory)) > 0:
		return usagef(cmd, "inventory %q: expected at most 63 "+rules, f.inventory, " and dots")
	case len(validation.IsDNS1123Label(f.namespace)) > 0:
		return usagef(cmd, "namespace %q: expected at most 63 "+rules, f.namespace, "")
	}
	return nil
}

// label names the inventory for people.
func (f *inventoryFlags) label() string {
	return fmt.Sprintf("inventory %s in namespace %s", f.inventory, f.namespace)
}

// open makes a session of one deploy step for the inventory. config is what differs from the plugin's
// defaults.
func (f *inventoryFlags) open(t *tool, deps plugins.Deps, config map[string]any) (*session, error) {
	text, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	step := pipeline.SavedStep{Name: f.inventory, Plugin: inventoryPlugin, Config: text}
	app := stages.App{Name: f.inventory, Namespace: f.namespace}
	plan, err := pipeline.Restore("", app, []pipeline.SavedStep{step}, stages.NewRegistry(t.Plugins(deps)...))
	if err != nil {
		return nil, err
	}
	return &session{plan: plan, opts: pipeline.Options{
		Version: t.version(), Dir: ".", Cluster: deps.Cluster.Objects(f.namespace), Target: deps.Cluster.Target,
	}}, nil
}

// inventories lists those of a namespace, or of all if that is empty.
func (t *tool) inventories(ctx context.Context, deps plugins.Deps, namespace string) ([]stages.DeployedApp, error) {
	all := t.Plugins(deps)
	n := slices.IndexFunc(all, func(p stages.Plugin) bool { return p.Name == inventoryPlugin && p.Apps != nil })
	if n < 0 {
		return nil, fmt.Errorf("this strake has no %s plugin, which keeps inventories", inventoryPlugin)
	}
	return deployed(ctx, all[n:n+1], namespace)
}

// find looks for the inventory; nil if it isn't there.
func (f *inventoryFlags) find(ctx context.Context, t *tool, deps plugins.Deps) (*stages.DeployedApp, error) {
	all, err := t.inventories(ctx, deps, f.namespace)
	n := slices.IndexFunc(all, func(a stages.DeployedApp) bool { return a.Name == f.inventory })
	if err != nil || n < 0 {
		return nil, err
	}
	return &all[n], nil
}

// missing says that an inventory isn't there.
func (f *inventoryFlags) missing() error {
	return stages.WithHint(fmt.Errorf("%s: %w", f.label(), stages.ErrNotDeployed), "strake get inventories -A lists those that there are")
}

// because adds to an error why its context has ended.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return fmt.Errorf("%w (%w)", cause, err)
	}
	return err
}

// isFile tells whether an argument that should name an inventory is a file.
func isFile(name string) bool {
	info, err := os.Stat(name)
	return strings.ContainsRune(name, os.PathSeparator) || err == nil && info.Mode().IsRegular()
}
