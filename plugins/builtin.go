package plugins

import (
	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/internal/kube"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/plugins/kapp"
	"strake.dev/strake/plugins/kbld"
	"strake.dev/strake/plugins/vendir"
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
	// Builder talks to BuildKit daemons.
	Builder *buildkit.Client
	// Rebuild has images built even if nothing has changed.
	Rebuild bool
	// UserAgent names the program to web servers.
	UserAgent string
}

// Builtin returns the plugins that strake is built with, in the order of their stages.
func Builtin(deps Deps) []stages.Plugin {
	return []stages.Plugin{
		vendir.Plugin(vendir.Deps{Registry: deps.Registry, UserAgent: deps.UserAgent}),
		ytt.Plugin(),
		kbld.Plugin(kbld.Deps{Registry: deps.Registry, Builder: deps.Builder, UserAgent: deps.UserAgent, Rebuild: deps.Rebuild}),
		kapp.Plugin(kapp.Deps{Cluster: deps.Cluster}),
	}
}
