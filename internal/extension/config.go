package extension

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// A Config is what a step says about the executable that it runs and what that may have.
type Config struct {
	// Read lists the files and folders of the App's folder that it may read; default: all of it.
	Read []string `json:"read,omitempty"`
	// Env names environment variables that it gets, besides PATH, HOME, TMPDIR and LANG. Their values are
	// kept out of everything that is shown.
	Env []string `json:"env,omitempty"`
	// Network lets it use IP; without it there are no sockets at all.
	Network bool `json:"network,omitempty"`
	// Timeout is how long it may take for one call.
	Timeout time.Duration `json:"timeout,omitempty"`
	// MaxOutput is how much it may print, and how much it may write, such as 256Mi.
	MaxOutput string `json:"maxOutput,omitempty"`
	// MaxMemory is how much memory each of its processes may have, such as 1Gi.
	MaxMemory string `json:"maxMemory,omitempty"`
	// MaxProcesses is how many processes and threads it may have.
	MaxProcesses int `json:"maxProcesses,omitempty"`
}

// SetDefaults sets the limits.
func (c *Config) SetDefaults() {
	c.Timeout, c.MaxOutput, c.MaxMemory, c.MaxProcesses = 5*time.Minute, "256Mi", "1Gi", 256
}

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Check checks the fields; n is the node that they are in.
func (c *Config) Check(n *schema.Node) error {
	var found schema.Diagnostics
	for _, item := range n.Get("read").Items() {
		if _, err := stages.Clean(item.Text()); err != nil {
			found = append(found, item.Errorf("%v", err))
		}
	}
	for _, item := range n.Get("env").Items() {
		switch name := item.Text(); {
		case !envName.MatchString(name):
			found = append(found, item.Errorf("expected the name of an environment variable, found %q", name))
		case slices.Contains(reserved, name):
			found = append(found, item.Errorf("%s is always set by strake", name))
		}
	}
	for _, f := range []struct{ name, text string }{{"maxOutput", c.MaxOutput}, {"maxMemory", c.MaxMemory}} {
		if _, err := size(f.text); err != nil {
			found = append(found, at(n, f.name).Errorf("%v", err))
		}
	}
	if c.Timeout <= 0 {
		found = append(found, at(n, "timeout").Errorf("expected a time above zero, such as 5m"))
	}
	if c.MaxProcesses < 1 {
		found = append(found, at(n, "maxProcesses").Errorf("expected at least 1"))
	}
	return found.Err()
}

func at(n *schema.Node, field string) *schema.Node {
	if f := n.Get(field); f != nil {
		return f
	}
	return n
}

// size reads a number of bytes.
func size(text string) (int64, error) {
	q, err := resource.ParseQuantity(text)
	if err != nil || q.Value() <= 0 {
		return 0, fmt.Errorf("expected a number of bytes such as 256Mi, found %q", text)
	}
	return q.Value(), nil
}

// A Ref says which executable is meant. One of the fields is set.
type Ref struct {
	// Plugin is looked for as strake-plugin-NAME on PATH.
	Plugin string
	// Path counts from the folder of the App's file.
	Path string
}

// String is what the lock and messages call it.
func (r Ref) String() string { return r.Plugin + r.Path }

var pluginName = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$`)

// CheckName checks the name of a plugin.
func CheckName(n *schema.Node, name string) error {
	if !pluginName.MatchString(name) || strings.Contains(name, "..") {
		d := n.Errorf("expected a name of lower-case letters, digits, “-”, “.” and “_”, found %q", name)
		d.Hint = "the executable is called strake-plugin-NAME and found on PATH; for one elsewhere say where it is by its path"
		return d
	}
	return nil
}
