package pipeline

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"strake.dev/strake/schema"
)

// Given is what a run is given for the parameters of a Pipeline, and the values of templates.
type Given struct {
	// Set are those of --set: dotted keys, and YAML values as they were typed. One that has a parameter's
	// name is the parameter's.
	Set map[string]string
	// Files are mappings, of which later ones win over earlier ones, and Set over all.
	Files []*schema.Node
	// Env looks up environment variables; nil is an empty environment.
	Env func(name string) (value string, ok bool)
}

// paramPrefix is what the environment variables of parameters begin with, before the name in capital letters.
const paramPrefix = "STRAKE_PARAM_"

// param finds what is given for a parameter, and where.
func (g *Given) param(name string) (text, from string, ok bool) {
	if text, ok := g.Set[name]; ok {
		return text, "--set", true
	}
	for _, file := range slices.Backward(g.Files) {
		if n := file.Get(name); n != nil {
			return n.Text(), n.Pos().String(), true
		}
	}
	text, ok = g.env(paramPrefix + strings.ToUpper(name))
	return text, paramPrefix + strings.ToUpper(name), ok
}

func (g *Given) env(name string) (string, bool) {
	if g.Env == nil {
		return "", false
	}
	return g.Env(name)
}

// values are those that aren't parameters, over those of a target.
func (g *Given) values(target *schema.Node, params []schema.Param) (map[string]string, error) {
	all := map[string]string{}
	isParam := func(name string) bool {
		return slices.ContainsFunc(params, func(p schema.Param) bool { return p.Name == name })
	}
	if err := flatten(all, "", target, func(string) bool { return false }); err != nil {
		return nil, err
	}
	for _, file := range g.Files {
		if err := flatten(all, "", file, isParam); err != nil {
			return nil, err
		}
	}
	for key, value := range g.Set {
		if !isParam(key) {
			unset(all, key)
			all[key] = value
		}
	}
	return all, nil
}

// flatten adds the values of a mapping under dotted keys, without those that skip says.
func flatten(into map[string]string, prefix string, n *schema.Node, skip func(name string) bool) error {
	var found schema.Diagnostics
	for _, p := range n.Pairs() {
		if prefix == "" && skip(p.Key) {
			continue
		}
		if p.Key == "" || strings.Contains(p.Key, ".") {
			d := p.Value.Errorf("%q can't be the key of a value: it is part of a dotted one", p.Key)
			d.Hint = "put such a key into a values file that the step reads by valuesFrom"
			found = append(found, d)
			continue
		}
		key := prefix + p.Key
		if p.Value.IsMapping() && len(p.Value.Pairs()) > 0 {
			found.Collect(p.Value.Pos(), p.Value.Path(), flatten(into, key+".", p.Value, skip))
			continue
		}
		value, err := p.Value.Value()
		if err == nil {
			var text []byte
			text, err = json.Marshal(value) // JSON is YAML
			unset(into, key)
			into[key] = string(text)
		}
		found.Collect(p.Value.Pos(), p.Value.Path(), err)
	}
	return found.Err()
}

// unset removes values that a value for key takes the place of: those below it, and those that it is below.
func unset(values map[string]string, key string) {
	maps.DeleteFunc(values, func(other, _ string) bool {
		return strings.HasPrefix(other, key+".") || strings.HasPrefix(key, other+".")
	})
}

// nested are values as expressions see them.
func nested(values map[string]string) (map[string]any, error) {
	out := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		docs, err := schema.Parse("--set "+key, []byte(values[key]))
		if err != nil {
			return nil, err
		}
		var value any
		if len(docs) > 0 {
			if value, err = docs[0].Value(); err != nil {
				return nil, err
			}
		}
		at := out
		parts := strings.Split(key, ".")
		for _, part := range parts[:len(parts)-1] {
			next, ok := at[part].(map[string]any)
			if !ok {
				next = map[string]any{}
				at[part] = next
			}
			at = next
		}
		at[parts[len(parts)-1]] = value
	}
	return out, nil
}

// params are the values of a Pipeline's parameters. In a check, examples stand for those that aren't given.
func (g *Given) params(file *schema.File, check bool) (map[string]any, error) {
	var found schema.Diagnostics
	out := map[string]any{}
	spec := &file.Pipeline.Spec
	for i, item := range file.Root().Get("spec").Get("params").Items() {
		p := &spec.Params[i]
		out[p.Name] = p.Example()
		text, from, given := g.param(p.Name)
		switch {
		case given:
			value, err := p.Value(text)
			if err != nil {
				found = append(found, item.Errorf("parameter %s, given by %s: %s", p.Name, from, err))
				continue
			}
			out[p.Name] = value
		case p.Default == nil && !check:
			d := item.Errorf("parameter %s has no default, and isn't given", p.Name)
			d.Hint = fmt.Sprintf("give it with --set %s=VALUE, --values FILE or %s%s", p.Name, paramPrefix, strings.ToUpper(p.Name))
			found = append(found, d)
		}
	}
	return out, found.Err()
}

// variables are the environment variables that a Pipeline names.
func (g *Given) variables(file *schema.File, check bool) (values map[string]any, secrets []string, err error) {
	var found schema.Diagnostics
	values = map[string]any{}
	items := file.Root().Get("spec").Get("env").Items()
	for i, v := range file.Pipeline.Spec.Env {
		value, ok := g.env(v.Name)
		switch {
		case ok:
		case v.Default != nil:
			value = *v.Default
		case check:
			value = "example"
		default:
			d := items[i].Errorf("environment variable %s isn't set", v.Name)
			d.Hint = "set it, or give it a default: {name: " + v.Name + ", default: …}"
			found = append(found, d)
		}
		values[v.Name] = value
		if v.Secret {
			secrets = append(secrets, value)
		}
	}
	return values, secrets, found.Err()
}
