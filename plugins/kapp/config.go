package kapp

import (
	"fmt"
	"strings"

	"strake.dev/strake/schema"
)

// Config is the configuration of a deploy entry, as kapp-controller's App has it.
type Config struct {
	// IntoNs puts all namespaced objects into this namespace.
	IntoNs string `json:"intoNs,omitempty"`
	// MapNs puts the objects of one namespace into another one: source=destination.
	MapNs []string `json:"mapNs,omitempty"`
	// RawOptions are flags of “kapp deploy”, each as --name=value.
	RawOptions []string `json:"rawOptions,omitempty"`
	// Inspect configures how the app is inspected.
	Inspect *CommandConfig `json:"inspect,omitempty"`
	// Delete configures how the app is deleted.
	Delete *CommandConfig `json:"delete,omitempty"`
}

// CommandConfig configures another of kapp's commands.
type CommandConfig struct {
	// RawOptions are flags of that kapp command, each as --name=value.
	RawOptions []string `json:"rawOptions,omitempty"`
}

// Validate checks the namespaces and all options, by kapp's own parsing of its flags.
func (c *Config) Validate(n *schema.Node) error {
	var found schema.Diagnostics
	for i, item := range n.Get("mapNs").Items() {
		from, to, ok := strings.Cut(c.MapNs[i], "=")
		if !ok || from == "" || to == "" {
			d := item.Errorf("%q is not a mapping of namespaces", c.MapNs[i])
			d.Hint = "expected source=destination"
			found = append(found, d)
		}
	}
	found.Collect(n.Pos(), n.Path(), validate(deployOptions, n.Get("rawOptions")))
	found.Collect(n.Pos(), n.Path(), validate(inspectOptions, n.Get("inspect").Get("rawOptions")))
	found.Collect(n.Pos(), n.Path(), validate(deleteOptions, n.Get("delete").Get("rawOptions")))
	return found.Err()
}

// validate checks each option by itself, so that every wrong one is reported at its place.
func validate(cmd command, options *schema.Node) error {
	var found schema.Diagnostics
	for _, item := range options.Items() {
		option := item.Text()
		name, err := cmd.check(option)
		if err == nil {
			continue
		}
		d := item.Errorf("%s", err)
		if name != "" && !cmd.allows(name) {
			d.Hint = schema.Suggest(name, cmd.allowed)
		}
		found = append(found, d)
	}
	return found.Err()
}

// deployArgs are the flags of a deploy: those that the fields stand for, then those given raw, which win.
func (c Config) deployArgs() []string {
	var args []string
	if c.IntoNs != "" {
		args = append(args, "--into-ns="+c.IntoNs)
	}
	for _, m := range c.MapNs {
		args = append(args, fmt.Sprintf("--map-ns=%s", m))
	}
	return append(args, c.RawOptions...)
}

// args are the flags of another command.
func (c *CommandConfig) args() []string {
	if c == nil {
		return nil
	}
	return c.RawOptions
}
