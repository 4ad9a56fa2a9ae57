package appvalues

import (
	"strings"

	"strake.dev/strake/schema"
)

// A Source is one entry of valuesFrom.
type Source struct {
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

// Node is where the source stands in the App's file.
func (s *Source) Node() *schema.Node { return s.node }

// Validate checks that there is exactly one source.
func (s *Source) Validate(n *schema.Node) error {
	s.node = n
	return ExactlyOne(n, map[string]bool{
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
	// KubernetesVersion gives the version that it says, or else that of the cluster.
	KubernetesVersion *Version `json:"kubernetesVersion,omitempty"`
	// KappControllerVersion gives the version that it says, or else the one that strake follows.
	KappControllerVersion *Version `json:"kappControllerVersion,omitempty"`
	// KubernetesAPIs gives the group versions that it lists, or else those of the cluster.
	KubernetesAPIs *GroupVersions `json:"kubernetesAPIs,omitempty"`

	field fieldPath
}

// A Version is a version that the App says or leaves to be found out.
type Version struct {
	// Version is the version; default: the present one.
	Version string `json:"version,omitempty"`
}

// GroupVersions are group versions that the App says or leaves to be found out.
type GroupVersions struct {
	// GroupVersions lists them, as in [v1, apps/v1]; default: those that the cluster has.
	GroupVersions []string `json:"groupVersions,omitempty"`
}

// Validate checks the name and that there is exactly one value.
func (i *DownwardItem) Validate(n *schema.Node) error {
	var found schema.Diagnostics
	if strings.HasPrefix(i.Name, ".") || strings.HasSuffix(i.Name, ".") || strings.Contains(i.Name, "..") {
		found = append(found, n.Get("name").Errorf("%q has an empty part between dots", i.Name))
	}
	found.Collect(n.Pos(), n.Path(), ExactlyOne(n, map[string]bool{
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
