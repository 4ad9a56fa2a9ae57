package helm

import (
	"strake.dev/strake/internal/appvalues"
	"strake.dev/strake/schema"
)

// A Config is the configuration of a helmTemplate step, as kapp-controller's App has it:
// https://carvel.dev/kapp-controller/docs/latest/app-spec/.
type Config struct {
	// Name is that of the release; default: the App's name.
	Name string `json:"name,omitempty"`
	// Namespace is that of the release; default: the App's namespace.
	Namespace string `json:"namespace,omitempty"`
	// Path is the chart in the App's folder, a folder or an archive; default: the folder itself.
	Path string `json:"path,omitempty"`
	// ValuesFrom lists values; later ones win.
	ValuesFrom []appvalues.Source `json:"valuesFrom,omitempty"`
	// KubernetesVersion is what charts see as the cluster's version: the one that it says, or without
	// one that of the cluster which the App is deployed to. Default: Helm's own.
	KubernetesVersion *appvalues.Version `json:"kubernetesVersion,omitempty"`
	// KubernetesAPIs are what charts see as APIs of the cluster, besides those that Helm knows: the ones
	// that it lists, or without a list those of the cluster which the App is deployed to.
	KubernetesAPIs *appvalues.GroupVersions `json:"kubernetesAPIs,omitempty"`
}

// Validate checks the paths.
func (c *Config) Validate(n *schema.Node) error {
	var found schema.Diagnostics
	if at := n.Get("path"); at != nil && c.Path != "" {
		found.Collect(at.Pos(), at.Path(), appvalues.CheckPath(at.Pos(), at.Path(), c.Path))
	}
	if c.Name != "" {
		if err := checkName(c.Name); err != nil {
			found = append(found, n.Get("name").Errorf("%v", err))
		}
	}
	found.Collect(n.Pos(), n.Path(), appvalues.CheckPaths(n, c.ValuesFrom))
	return found.Err()
}
