package main

import (
	"reflect"

	"github.com/invopop/jsonschema"

	"strake.dev/strake/stages"
	"strake.dev/strake/stages/protocol"
)

// protocol describes a line that strake and a plugin, an executable, exchange. It allows more fields than there
// are: plugins have to ignore those that they don't know.
func (g *generator) protocol() (*jsonschema.Schema, error) {
	g.written = true
	root := &jsonschema.Schema{
		Title:       "strake plugin protocol",
		Description: "A line of " + protocol.V1 + ": of strake on standard input, or of the plugin on standard output.",
	}
	one := uint64(1)
	for _, t := range []reflect.Type{reflect.TypeFor[protocol.HostMessage](), reflect.TypeFor[protocol.PluginMessage]()} {
		ref, err := g.of(t)
		if err != nil {
			return nil, err
		}
		message := g.defs[defName(t)]
		message.MinProperties, message.MaxProperties, message.AdditionalProperties = &one, &one, jsonschema.FalseSchema
		root.AnyOf = append(root.AnyOf, ref)
	}
	choose := func(t reflect.Type, field string, of []string) {
		s, _ := g.defs[defName(t)].Properties.Get(field)
		s.Enum = words(of)
	}
	choose(reflect.TypeFor[protocol.Request](), "op", []string{protocol.Run, protocol.Plan, protocol.Key, protocol.Check, protocol.Delete})
	choose(reflect.TypeFor[protocol.Request](), "stage", names(stages.All()))
	choose(reflect.TypeFor[protocol.PluginHello](), "protocol", []string{protocol.V1})
	choose(reflect.TypeFor[protocol.Event](), "type", []string{protocol.Log, protocol.Warning, protocol.TaskUpdate, protocol.ChangeMade, protocol.ImageFinal})
	return root, nil
}

func names(all []stages.Stage) []string {
	var out []string
	for _, s := range all {
		out = append(out, string(s))
	}
	return out
}
