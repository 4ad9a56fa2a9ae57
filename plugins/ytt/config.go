package ytt

import (
	"strake.dev/strake/internal/appvalues"
	"strake.dev/strake/schema"
)

// stdin is the path that stands for the manifests so far.
const stdin = appvalues.Stream

// A Config is the configuration of a ytt step, as kapp-controller's App has it:
// https://carvel.dev/kapp-controller/docs/latest/app-spec/.
type Config struct {
	// IgnoreUnknownComments makes comments fine that ytt doesn't know.
	IgnoreUnknownComments bool `json:"ignoreUnknownComments,omitempty"`
	// Strict admits only the strict subset of YAML.
	Strict bool `json:"strict,omitempty"`
	// Inline lists additional files, which come after those of paths.
	Inline *Inline `json:"inline,omitempty"`
	// Paths are files and folders of the App's folder; “-” stands for the manifests so far. Default:
	// the manifests so far, or the whole folder if there are none.
	Paths []string `json:"paths,omitempty"`
	// FileMarks say how files are to be read, as in “config/**/*.txt:type=text-plain”.
	FileMarks []string `json:"fileMarks,omitempty"`
	// ValuesFrom lists data values as plain YAML; later ones win.
	ValuesFrom []appvalues.Source `json:"valuesFrom,omitempty"`
}

// Validate checks paths and file marks, and that the manifests so far are read only once.
func (c *Config) Validate(n *schema.Node) error {
	var found schema.Diagnostics
	reads := 0
	check := func(at *schema.Node, path string) {
		if path == stdin {
			if reads++; reads > 1 {
				found = append(found, at.Errorf("“-” is given twice: the manifests so far can be read once"))
			}
			return
		}
		found.Collect(at.Pos(), at.Path(), appvalues.CheckPath(at.Pos(), at.Path(), path))
	}
	for i, item := range n.Get("paths").Items() {
		check(item, c.Paths[i])
	}
	for i, item := range n.Get("valuesFrom").Items() {
		if at := item.Get("path"); at != nil {
			check(at, c.ValuesFrom[i].Path)
			if c.ValuesFrom[i].Path == stdin && len(c.Paths) == 0 {
				d := at.Errorf("“-” can't be values here: without paths, the manifests so far are the templates")
				d.Hint = "list the templates under paths"
				found = append(found, d)
			}
		}
	}
	for i, item := range n.Get("fileMarks").Items() {
		found.Collect(item.Pos(), item.Path(), checkMark(item, c.FileMarks[i]))
	}
	return found.Err()
}

// Inline lists files that are given in the App, or in Secrets and ConfigMaps.
type Inline struct {
	// Paths are contents by path.
	Paths map[string]string `json:"paths,omitempty"`
	// PathsFrom lists Secrets and ConfigMaps whose keys are file names; later ones win.
	PathsFrom []InlineSource `json:"pathsFrom,omitempty"`
}

// Validate checks that no path leads out of where the files go.
func (i *Inline) Validate(n *schema.Node) error {
	var found schema.Diagnostics
	for _, p := range n.Get("paths").Pairs() {
		found.Collect(p.KeyPos, p.Value.Path(), appvalues.CheckPath(p.KeyPos, p.Value.Path(), p.Key))
	}
	return found.Err()
}

// An InlineSource is a Secret or a ConfigMap whose keys are file names.
type InlineSource struct {
	SecretRef    *InlineRef `json:"secretRef,omitempty"`
	ConfigMapRef *InlineRef `json:"configMapRef,omitempty"`

	node *schema.Node
}

// Validate checks that there is exactly one reference.
func (s *InlineSource) Validate(n *schema.Node) error {
	s.node = n
	return appvalues.ExactlyOne(n, map[string]bool{
		"secretRef":    s.SecretRef != nil && s.SecretRef.Name != "",
		"configMapRef": s.ConfigMapRef != nil && s.ConfigMapRef.Name != "",
	})
}

func (s *InlineSource) ref() (ref appvalues.Ref, dir string) {
	if s.SecretRef != nil {
		return appvalues.Ref{Kind: appvalues.KindSecret, Name: s.SecretRef.Name, Node: s.node}, s.SecretRef.DirectoryPath
	}
	return appvalues.Ref{Kind: appvalues.KindConfigMap, Name: s.ConfigMapRef.Name, Node: s.node}, s.ConfigMapRef.DirectoryPath
}

// An InlineRef names a Secret or ConfigMap in the App's namespace, and where its files go.
type InlineRef struct {
	Name string `json:"name" required:"true"`
	// DirectoryPath is the folder of the files; default: beside the other inline files.
	DirectoryPath string `json:"directoryPath,omitempty"`
}

// Validate checks that the folder leads nowhere else.
func (r *InlineRef) Validate(n *schema.Node) error {
	if at := n.Get("directoryPath"); at != nil {
		return appvalues.CheckPath(at.Pos(), at.Path(), r.DirectoryPath)
	}
	return nil
}
