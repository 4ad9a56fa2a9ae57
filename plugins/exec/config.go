package exec

import (
	"strake.dev/strake/internal/appvalues"
	"strake.dev/strake/internal/extension"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// A Config is the configuration of an exec step.
type Config struct {
	// Plugin is the name of a plugin: the executable strake-plugin-NAME on PATH. Either it or path is given.
	Plugin string `json:"plugin,omitempty"`
	// Path is an executable, counted from the folder of the App's file.
	Path string `json:"path,omitempty"`
	// With is the plugin's own configuration, handed on as it is.
	With *schema.Node `json:"with,omitempty"`
	// Folder is where the source of a fetch step goes in the App's folder.
	Folder string `json:"folder,omitempty"`
	// Outputs declares what the plugin yields for later steps of a Pipeline, by name.
	Outputs map[string]Output `json:"outputs,omitempty"`
	extension.Config
}

// Validate checks what no single field can tell.
func (c *Config) Validate(n *schema.Node) error {
	var found schema.Diagnostics
	found.Collect(n.Pos(), n.Path(), appvalues.ExactlyOne(n, map[string]bool{"plugin": n.Get("plugin") != nil, "path": n.Get("path") != nil}))
	if at := n.Get("plugin"); at != nil {
		found.Collect(at.Pos(), at.Path(), extension.CheckName(at, c.Plugin))
	}
	if at := n.Get("path"); at != nil && c.Path == "" {
		found = append(found, at.Errorf("is empty, expected the path of an executable"))
	}
	if at := n.Get("folder"); at != nil {
		if _, err := stages.Clean(c.Folder); err != nil {
			found = append(found, at.Errorf("%v", err))
		}
	}
	if at := n.Get("outputs"); at != nil {
		found.Collect(at.Pos(), at.Path(), checkOutputs(at, c.Outputs))
	}
	found.Collect(n.Pos(), n.Path(), c.Check(n))
	return found.Err()
}
