package kube

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	// Kubeconfigs may name OIDC as the way to log in.
	_ "k8s.io/client-go/plugin/pkg/client/auth/oidc"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// find looks for a cluster where kubectl does: the file given, the files of KUBECONFIG,
// ~/.kube/config, and the service account of the pod that strake runs in.
func find(opts Options) (access, error) {
	rules := &clientcmd.ClientConfigLoadingRules{}
	switch home, err := os.UserHomeDir(); {
	case opts.Kubeconfig != "":
		rules.ExplicitPath = opts.Kubeconfig
	case os.Getenv(clientcmd.RecommendedConfigPathEnvVar) != "":
		rules.Precedence = filepath.SplitList(os.Getenv(clientcmd.RecommendedConfigPathEnvVar))
	case err == nil:
		rules.Precedence = []string{filepath.Join(home, clientcmd.RecommendedHomeDir, clientcmd.RecommendedFileName)}
	}
	raw, err := rules.Load()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return access{}, stages.WithHint(fmt.Errorf("kubeconfig %s: no such file", opts.Kubeconfig), "check --kubeconfig")
	case err != nil:
		return access{}, fmt.Errorf("kubeconfig: %w", err)
	case len(raw.Contexts) == 0 && len(raw.Clusters) == 0 && opts.Context == "":
		return inCluster(rules)
	}
	return fromConfig(raw, opts.Context, "kubeconfig "+strings.Join(files(rules), ", "))
}

// fromConfig picks a context of a kubeconfig; an empty name is the current one.
func fromConfig(raw *api.Config, name, origin string) (access, error) {
	known := slices.Sorted(maps.Keys(raw.Contexts))
	hint := "its contexts: " + strings.Join(known, ", ")
	if len(known) == 0 {
		hint = "it has no contexts"
	}
	if name == "" {
		name = raw.CurrentContext
	}
	if name == "" {
		return access{}, stages.WithHint(fmt.Errorf("%s has no current context", origin), "choose one with --context or “kubectl config use-context”; %s", hint)
	}
	picked, ok := raw.Contexts[name]
	if !ok {
		if near := schema.Suggest(name, known); near != "" {
			hint = near
		}
		return access{}, stages.WithHint(fmt.Errorf("%s has no context %q", origin, name), "%s", hint)
	}
	config, err := clientcmd.NewNonInteractiveClientConfig(*raw, name, &clientcmd.ConfigOverrides{}, nil).ClientConfig()
	if err != nil {
		return access{}, fmt.Errorf("%s: context %q: %w", origin, name, err)
	}
	return access{config: config, namespace: picked.Namespace, origin: fmt.Sprintf("%s, context %q", origin, name)}, nil
}

func inCluster(rules *clientcmd.ClientConfigLoadingRules) (access, error) {
	config, err := rest.InClusterConfig()
	if err == nil {
		return access{config: config, origin: "the pod's service account"}, nil
	}
	looked := make([]string, 0, 3)
	for _, file := range files(rules) {
		state := "names no cluster"
		if _, err := os.Stat(file); err != nil {
			state = "no such file"
		}
		looked = append(looked, fmt.Sprintf("%s (%s)", file, state))
	}
	if errors.Is(err, rest.ErrNotInCluster) {
		err = errors.New("not in a pod")
	}
	looked = append(looked, fmt.Sprintf("the pod's service account (%s)", err))
	return access{}, stages.WithHint(
		fmt.Errorf("no Kubernetes cluster is configured: looked at %s", strings.Join(looked, ", ")),
		"set KUBECONFIG or give --kubeconfig; “kubectl version” should work with the same setting")
}

func files(rules *clientcmd.ClientConfigLoadingRules) []string {
	if rules.ExplicitPath != "" {
		return []string{rules.ExplicitPath}
	}
	return slices.DeleteFunc(slices.Clone(rules.Precedence), func(f string) bool { return f == "" })
}
