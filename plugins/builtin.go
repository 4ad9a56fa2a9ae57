package plugins

import (
	"context"
	osexec "os/exec"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/internal/cache"
	"strake.dev/strake/internal/extension"
	"strake.dev/strake/internal/kube"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/plugins/artifact"
	"strake.dev/strake/plugins/cosign"
	"strake.dev/strake/plugins/cue"
	"strake.dev/strake/plugins/exec"
	"strake.dev/strake/plugins/helm"
	"strake.dev/strake/plugins/kapp"
	"strake.dev/strake/plugins/kbld"
	"strake.dev/strake/plugins/krm"
	"strake.dev/strake/plugins/kustomize"
	"strake.dev/strake/plugins/sops"
	"strake.dev/strake/plugins/ssa"
	"strake.dev/strake/plugins/vendir"
	"strake.dev/strake/plugins/vendir/source"
	"strake.dev/strake/plugins/ytt"
	"strake.dev/strake/stages"
)

// Deps are the clients that plugins share. None of them has connected to anything when a plugin is
// made. The zero value is enough to bind configurations, and too little to run steps.
type Deps struct {
	// Cluster is the one that the user's kubeconfig names.
	Cluster *kube.Cluster
	// Registry talks to container registries.
	Registry *registry.Client
	// Cache keeps what was downloaded; nil keeps nothing.
	Cache *cache.Store
	// GitHubToken is for GitHub's API; it may be empty.
	GitHubToken string
	// Builder talks to BuildKit daemons.
	Builder *buildkit.Client
	// BuildCache, if not empty, is a repository for the build steps of images whose sources name no cache.
	BuildCache string
	// Rebuild has images built even if nothing has changed.
	Rebuild bool
	// ToolCommand makes the command of a process that calls [kbld.ServeTool].
	ToolCommand func(context.Context) (*osexec.Cmd, error)
	// Images, if not nil, is told what the references of the manifests became.
	Images *kbld.Record
	// AllowedPlugins are the names and paths of executables that steps may run as plugins.
	AllowedPlugins []string
	// RequireSandbox refuses to run them where the machine can't confine them wholly.
	RequireSandbox bool
	// UserAgent names the program to web servers.
	UserAgent string
}

// Builtin returns the plugins that strake is built with, in the order of their stages.
func Builtin(deps Deps) []stages.Plugin {
	host := &extension.Host{Allowed: deps.AllowedPlugins, Required: deps.RequireSandbox}
	return append([]stages.Plugin{
		vendir.Plugin(source.Deps{Registry: deps.Registry, UserAgent: deps.UserAgent, Cache: deps.Cache, GitHubToken: deps.GitHubToken}),
		cosign.Plugin(cosign.Deps{Registry: deps.Registry}),
		ytt.Plugin(),
		helm.Plugin(),
		kustomize.Plugin(),
		cue.Plugin(),
		sops.Plugin(),
		krm.Plugin(host),
		kbld.Plugin(kbld.Deps{
			Registry: deps.Registry, Builder: deps.Builder, Record: deps.Images, ToolCommand: deps.ToolCommand,
			UserAgent: deps.UserAgent, Rebuild: deps.Rebuild, BuildCache: deps.BuildCache,
		}),
		artifact.Plugin(artifact.Deps{Registry: deps.Registry}),
		kapp.Plugin(kapp.Deps{Cluster: deps.Cluster}),
		ssa.Plugin(ssa.Deps{Cluster: deps.Cluster}),
	}, exec.Plugins(host)...)
}
