package krm

import (
	"strake.dev/strake/internal/appvalues"
	"strake.dev/strake/internal/extension"
	"strake.dev/strake/schema"
)

// A Config is the configuration of a krm step.
type Config struct {
	// Exec is the function, an executable, counted from the folder of the App's file. Either it or plugin is given.
	Exec string `json:"exec,omitempty"`
	// Plugin is the name of a function: the executable strake-plugin-NAME on PATH.
	Plugin string `json:"plugin,omitempty"`
	// Image is refused: strake runs no containers.
	Image string `json:"image,omitempty"`
	// FunctionConfig is the function's configuration. One without kind becomes the data of a ConfigMap.
	FunctionConfig *schema.Node `json:"config,omitempty"`
	// ConfigPath is a file of the App's folder with the function's configuration.
	ConfigPath string `json:"configPath,omitempty"`
	extension.Config
}

// Validate checks what no single field can tell.
func (c *Config) Validate(n *schema.Node) error {
	if at := n.Get("image"); at != nil {
		d := at.Errorf("functions in container images aren't run")
		d.Hint = "take the function's executable out of the image, or build it, and name it with “exec: PATH”"
		return d
	}
	var found schema.Diagnostics
	found.Collect(n.Pos(), n.Path(), appvalues.ExactlyOne(n, map[string]bool{"exec": n.Get("exec") != nil, "plugin": n.Get("plugin") != nil}))
	if at := n.Get("plugin"); at != nil {
		found.Collect(at.Pos(), at.Path(), extension.CheckName(at, c.Plugin))
	}
	if at := n.Get("exec"); at != nil && c.Exec == "" {
		found = append(found, at.Errorf("is empty, expected the path of an executable"))
	}
	if at := n.Get("configPath"); at != nil {
		found.Collect(at.Pos(), at.Path(), appvalues.CheckPath(at.Pos(), at.Path(), c.ConfigPath))
		if n.Get("config") != nil {
			found = append(found, at.Errorf("expected either config or configPath"))
		}
	}
	found.Collect(n.Pos(), n.Path(), c.Check(n))
	return found.Err()
}
