package ytt

import (
	"strings"

	"strake.dev/strake/schema"
)

// A ValuesSource is one source of data values.
type ValuesSource struct {
	// SecretRef names a Secret; each of its keys holds values, and they are taken in order of keys.
	SecretRef *schema.LocalRef `json:"secretRef,omitempty"`
	// ConfigMapRef names a ConfigMap, read like a Secret.
	ConfigMapRef *schema.LocalRef `json:"configMapRef,omitempty"`
	// Path is a file or folder of the App's folder, or “-” for the manifests so far.
	Path string `json:"path,omitempty"`
	// DownwardAPI gives values from the App itself.
	DownwardAPI *DownwardAPI `json:"downwardAPI,omitempty"`

	node *schema.Node
}

// Validate checks that there is exactly one source.
func (s *ValuesSource) Validate(n *schema.Node) error {
	s.node = n
	return exactlyOne(n, map[string]bool{
		"secretRef":    s.SecretRef != nil && s.SecretRef.Name != "",
		"configMapRef": s.ConfigMapRef != nil && s.ConfigMapRef.Name != "",
		"path":         s.Path != "",
		"downwardAPI":  s.DownwardAPI != nil && len(s.DownwardAPI.Items) > 0,
	})
}

// DownwardAPI lists values that come from the App itself.
type DownwardAPI struct {
	Items []DownwardItem `json:"items" required:"true"`
}

// A DownwardItem is one value from the App, or about where it runs.
type DownwardItem struct {
	// Name is the data value to set. Dots lead into mappings; “\.” is a dot in a key.
	Name string `json:"name" required:"true"`
	// FieldPath is one of metadata.name, metadata.namespace, metadata.uid, metadata.labels,
	// metadata.annotations, metadata.labels['key'] and metadata.annotations['key'].
	FieldPath string `json:"fieldPath,omitempty"`
	// KubernetesVersion gives the version that it says.
	KubernetesVersion *FixedVersion `json:"kubernetesVersion,omitempty"`
	// KappControllerVersion gives the version that it says.
	KappControllerVersion *FixedVersion `json:"kappControllerVersion,omitempty"`
	// KubernetesAPIs gives the group versions that it lists.
	KubernetesAPIs *FixedAPIs `json:"kubernetesAPIs,omitempty"`

	field fieldPath
}

// A FixedVersion is a version that the App fixes.
type FixedVersion struct {
	// Version is to be given: finding it out from the cluster is kapp-controller's.
	Version string `json:"version,omitempty"`
}

// Validate refuses what would need a cluster: a rendering must not depend on one.
func (v *FixedVersion) Validate(n *schema.Node) error {
	if v.Version == "" {
		return needsCluster(n, "version: v1.36.3")
	}
	return nil
}

// FixedAPIs are group versions that the App fixes.
type FixedAPIs struct {
	// GroupVersions is to be given, as in [apps/v1, batch/v1].
	GroupVersions []string `json:"groupVersions,omitempty"`
}

// Validate refuses what would need a cluster.
func (a *FixedAPIs) Validate(n *schema.Node) error {
	if a.GroupVersions == nil {
		return needsCluster(n, "groupVersions: [apps/v1]")
	}
	return nil
}

func needsCluster(n *schema.Node, example string) error {
	d := n.Errorf("asking the cluster is not supported here: expected a value")
	d.Hint = "for example “" + example + "”"
	return d
}

// Validate checks the name and that there is exactly one value.
func (i *DownwardItem) Validate(n *schema.Node) error {
	var found schema.Diagnostics
	if strings.HasPrefix(i.Name, ".") || strings.HasSuffix(i.Name, ".") || strings.Contains(i.Name, "..") {
		found = append(found, n.Get("name").Errorf("%q has an empty part between dots", i.Name))
	}
	found.Collect(n.Pos(), n.Path(), exactlyOne(n, map[string]bool{
		"fieldPath": i.FieldPath != "", "kubernetesVersion": i.KubernetesVersion != nil,
		"kappControllerVersion": i.KappControllerVersion != nil, "kubernetesAPIs": i.KubernetesAPIs != nil,
	}))
	if i.FieldPath != "" {
		at := n.Get("fieldPath")
		field, err := parseFieldPath(i.FieldPath)
		found.Collect(at.Pos(), at.Path(), err)
		i.field = field
	}
	return found.Err()
}
