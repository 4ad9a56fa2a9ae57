package stages

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"strake.dev/strake/schema"
)

// A Plugin makes steps of one stage: ytt is the plugin that entries “template: [{ytt: …}]” name.
type Plugin struct {
	Stage Stage
	// Name is what a Pipeline's “uses” says.
	Name string
	// Doc is one sentence on what the plugin does.
	Doc string
	// Version changes whenever equal input could give other output; it is part of a step's key.
	Version string
	// Keys are the keys by which an App's entry names the plugin. For a plugin with several kinds of
	// entry, such as vendir, they lie in the configuration itself, and Whole is set.
	Keys []string
	// Whole means that the App's entry as a whole is the configuration, not only the key's value.
	Whole bool
	// Config is the type of the configuration, for JSON Schemas.
	Config reflect.Type
	// Parts are the types of what stands in fields of the configuration that are read apart from it, by their paths,
	// for the reference.
	Parts map[string]reflect.Type
	// Outputs are what its steps yield besides what every step of the stage does.
	Outputs []Output
	// New binds a configuration; node is nil when none is given. It has no side effects. Problems of
	// the configuration are schema.Diagnostics.
	New func(node *schema.Node) (Step, error)
	// Apps, of a deploy plugin, lists the apps of its kind that the cluster has in a namespace, or in
	// all of them if that is empty.
	Apps func(ctx context.Context, namespace string) ([]DeployedApp, error)
}

// Define returns a plugin whose configuration is a C, a struct. Decoding, defaults and diagnostics
// come from C (see [schema.Decode]); bind gets a valid C and only builds the step.
func Define[C any](p Plugin, bind func(C) (Step, error)) Plugin {
	p.Config = reflect.TypeFor[C]()
	if len(p.Keys) == 0 {
		p.Keys = []string{p.Name}
	}
	p.New = func(node *schema.Node) (Step, error) {
		var c C
		if node == nil {
			empty, err := schema.NewNode(map[string]any{}, schema.Pos{}, "")
			if err != nil {
				return nil, err
			}
			node = empty
		}
		if err := schema.Decode(node, &c); err != nil {
			return nil, err
		}
		return bind(c)
	}
	return p
}

// A Registry holds the plugins that a strake is built with.
type Registry struct{ plugins []Plugin }

// NewRegistry returns a registry of the plugins. It panics when two of a stage share a name or a
// key: that is a mistake in the program.
func NewRegistry(plugins ...Plugin) *Registry {
	type id struct {
		stage Stage
		name  string
	}
	seen := map[id]bool{}
	for _, p := range plugins {
		names := append([]string{}, p.Keys...)
		if !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
		for _, name := range names {
			if seen[id{p.Stage, name}] {
				panic(fmt.Sprintf("stages.NewRegistry: two plugins for %s %q", p.Stage, name))
			}
			seen[id{p.Stage, name}] = true
		}
	}
	return &Registry{plugins: plugins}
}

// All returns the plugins in the order in which they were given.
func (r *Registry) All() []Plugin { return slices.Clone(r.plugins) }

// Named returns the plugin of a stage with that name.
func (r *Registry) Named(stage Stage, name string) (Plugin, bool) {
	for _, p := range r.plugins {
		if p.Stage == stage && p.Name == name {
			return p, true
		}
	}
	return Plugin{}, false
}

// ByKey returns the plugin of a stage that entries of an App name by that key.
func (r *Registry) ByKey(stage Stage, key string) (Plugin, bool) {
	for _, p := range r.plugins {
		if p.Stage == stage && slices.Contains(p.Keys, key) {
			return p, true
		}
	}
	return Plugin{}, false
}

// Keys lists the keys that entries of a stage may have.
func (r *Registry) Keys(stage Stage) []string {
	var keys []string
	for _, p := range r.plugins {
		if p.Stage == stage {
			keys = append(keys, p.Keys...)
		}
	}
	return keys
}

// Names lists the names of a stage's plugins.
func (r *Registry) Names(stage Stage) []string {
	var names []string
	for _, p := range r.plugins {
		if p.Stage == stage {
			names = append(names, p.Name)
		}
	}
	return names
}
