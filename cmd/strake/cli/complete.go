package cli

import (
	"cmp"
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"strake.dev/strake/internal/artifact"
	"strake.dev/strake/internal/kube"
	"strake.dev/strake/pipeline"
	"strake.dev/strake/plugins"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// completionPatience is how long a shell waits for what a cluster or a registry has.
const completionPatience = 2 * time.Second

// addCompletions has the values of flags completed by what there is: in every command that has the flag. What can't
// be found out completes nothing, and says nothing.
func addCompletions(root *cobra.Command) {
	for _, cmd := range append(root.Commands(), root) {
		if cmd != root {
			addCompletions(cmd)
		}
	}
	for flag, complete := range map[string]cobra.CompletionFunc{"context": completeContexts, "namespace": completeNamespaces, "only": completeLocked, "target": completeTargets, "app": completeApps} {
		if root.Flags().Lookup(flag) != nil {
			_ = root.RegisterFlagCompletionFunc(flag, complete) // the flag exists, and has no completion yet
		}
	}
}

// valueOf is the value of a flag, if the command has it.
func valueOf(cmd *cobra.Command, flag string) string {
	if f := cmd.Flags().Lookup(flag); f != nil {
		return strings.Trim(f.Value.String(), "[]")
	}
	return ""
}

// completeContexts completes the contexts of the kubeconfig.
func completeContexts(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = valueOf(cmd, "kubeconfig")
	config, err := rules.Load()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.Sorted(maps.Keys(config.Contexts)), cobra.ShellCompDirectiveNoFileComp
}

// completeNamespaces completes the namespaces of the cluster.
func completeNamespaces(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
	defer cancel()
	cluster := kube.New(kube.Options{Kubeconfig: valueOf(cmd, "kubeconfig"), Context: valueOf(cmd, "context")})
	config, err := cluster.Config(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	all, err := client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []cobra.Completion
	for _, n := range all.Items {
		names = append(names, n.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeLocked completes the entries of the lock file: paths of sources and references of images.
func completeLocked(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	name := cmp.Or(valueOf(cmd, "lock-file"), pipeline.LockFileFor(cmp.Or(valueOf(cmd, "file"), defaultFile), valueOf(cmd, "target")))
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	lock, err := schema.ReadLock(name, data)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var entries []cobra.Completion
	for _, s := range lock.Sources {
		entries = append(entries, s.Path)
	}
	for _, i := range lock.Images {
		entries = append(entries, i.Annotations[schema.AnnotationImageID])
	}
	return entries, cobra.ShellCompDirectiveNoFileComp
}

// pipelineOf is the Pipeline of the file that the command line names; nil if it holds none.
func pipelineOf(cmd *cobra.Command) (string, *schema.Pipeline) {
	name := cmp.Or(valueOf(cmd, "file"), defaultFile)
	data, err := os.ReadFile(name)
	if err != nil {
		return name, nil
	}
	file, err := schema.Load(name, data)
	if err != nil {
		return name, nil
	}
	return name, file.Pipeline
}

// completeTargets completes the targets of the file's Pipeline.
func completeTargets(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var names []cobra.Completion
	if _, p := pipelineOf(cmd); p != nil {
		for _, t := range p.Spec.Targets {
			names = append(names, t.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeApps completes the names of the Apps that the file's Pipeline runs.
func completeApps(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var names []cobra.Completion
	file, p := pipelineOf(cmd)
	if p == nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	for _, ref := range p.Spec.Apps {
		files, _ := filepath.Glob(filepath.Join(filepath.Dir(file), ref.Path)) // a pattern that is wrong names none
		for _, name := range files {
			data, err := os.ReadFile(name)
			if err != nil {
				continue
			}
			if app, err := schema.Load(name, data); err == nil && app.App != nil {
				names = append(names, app.App.Metadata.Name)
			}
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// upTo completes so many arguments.
func upTo(most int, complete cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return complete(cmd, args, typed)
	}
}

// completeArtifacts completes the tags of an artifact's repository.
func (t *tool) completeArtifacts(remote *remoteFlags) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
		defer cancel()
		of := typed
		if colon := strings.LastIndexByte(typed, ':'); colon > strings.LastIndexByte(typed, '/') {
			of = typed[:colon]
		}
		const none = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		repo, err := artifact.ParseRepository(of)
		if err != nil {
			return nil, none
		}
		deps, err := remote.deps(t.userAgent())
		if err != nil {
			return nil, none
		}
		tags, err := artifact.List(ctx, deps.Registry, repo, "")
		if err != nil {
			return nil, none
		}
		var urls []cobra.Completion
		for _, tag := range tags {
			urls = append(urls, of+":"+tag)
		}
		return urls, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// completeDeployed completes the names of apps that some plugin has deployed, such as those of kapp.
func (t *tool) completeDeployed(remote *remoteFlags, namespace *string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return t.deployedNames(cmd, remote, func(ctx context.Context, deps plugins.Deps) ([]stages.DeployedApp, error) {
			return deployed(ctx, t.Plugins(deps), cmp.Or(*namespace, defaultNamespace))
		}), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeInventories completes names of inventories, which may come after the word inventory, or files.
func (t *tool) completeInventories(remote *remoteFlags, namespace *string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 1 || len(args) == 1 && args[0] != inventoryWord {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return t.deployedNames(cmd, remote, func(ctx context.Context, deps plugins.Deps) ([]stages.DeployedApp, error) {
			return t.inventories(ctx, deps, cmp.Or(*namespace, defaultNamespace))
		}), cobra.ShellCompDirectiveDefault
	}
}

// deployedNames are the names of what list finds in the cluster.
func (t *tool) deployedNames(cmd *cobra.Command, remote *remoteFlags, list func(context.Context, plugins.Deps) ([]stages.DeployedApp, error)) []cobra.Completion {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
	defer cancel()
	deps, err := remote.deps(t.userAgent())
	if err != nil {
		return nil
	}
	all, err := list(ctx, deps)
	if err != nil {
		return nil
	}
	var names []cobra.Completion
	for _, a := range all {
		names = append(names, cobra.CompletionWithDesc(a.Name, a.Plugin))
	}
	return names
}
