package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/invopop/jsonschema"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// idBase is where the schemas are published.
const idBase = "https://strake.dev/schema/v1alpha1/"

// generate returns the schemas by file name. root is the module's folder.
func generate(plugins *stages.Registry, root string) (map[string][]byte, error) {
	comments, err := readComments(root)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for name, make := range map[string]func(*generator) (*jsonschema.Schema, error){
		"app.schema.json":      (*generator).app,
		"pipeline.schema.json": (*generator).pipeline,

		"signaturepolicy.schema.json": (*generator).policy,
		"events.schema.json":          (*generator).events,
		"plugin.schema.json":          (*generator).protocol,
	} {
		g := &generator{
			reflector: reflector{comments: comments, defs: jsonschema.Definitions{}, types: map[string]reflect.Type{}},
			plugins:   plugins,
		}
		s, err := make(g)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		s.Version, s.ID, s.Definitions = jsonschema.Version, jsonschema.ID(idBase+name), g.defs
		if files[name], err = encode(s); err != nil {
			return nil, err
		}
	}
	return files, nil
}

func encode(s *jsonschema.Schema) ([]byte, error) {
	compact, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, compact, "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

type generator struct {
	reflector
	plugins *stages.Registry
}

// app describes a file's documents: an App, and the Secrets and ConfigMaps beside it.
func (g *generator) app() (*jsonschema.Schema, error) {
	root, err := g.file("App", schema.App{}, []string{schema.APIVersion, schema.KappControllerGroup})
	if err != nil {
		return nil, err
	}
	for _, stage := range stages.All() {
		entry, err := g.entry(stage)
		if err != nil {
			return nil, err
		}
		name := "entry." + string(stage)
		g.defs[name] = entry
		list, ok := g.defs["AppSpec"].Properties.Get(string(stage))
		if !ok {
			return nil, fmt.Errorf("an App has no field for the %s stage", stage)
		}
		list.Items = &jsonschema.Schema{Ref: "#/$defs/" + name}
	}
	// kapp-controller's own App has fewer stages.
	g.defs["App"].If = with("apiVersion", constant(schema.KappControllerGroup))
	none := properties("build", jsonschema.FalseSchema)
	none.Properties.Set("verify", jsonschema.FalseSchema)
	none.Properties.Set("publish", jsonschema.FalseSchema)
	g.defs["App"].Then = properties("spec", none)
	return root, nil
}

// pipeline describes a file's documents: a Pipeline, and the Secrets and ConfigMaps beside it.
func (g *generator) pipeline() (*jsonschema.Schema, error) {
	root, err := g.file("Pipeline", schema.Pipeline{}, []string{schema.APIVersion})
	if err != nil {
		return nil, err
	}
	g.defs["PipelineSpec"].OneOf = []*jsonschema.Schema{{Required: []string{"stages"}}, {Required: []string{"apps"}}}
	step := g.defs["Step"]
	for _, stage := range stages.All() {
		step.AllOf = append(step.AllOf, &jsonschema.Schema{
			If:   with("stage", constant(string(stage))),
			Then: properties("uses", &jsonschema.Schema{Enum: words(g.plugins.Names(stage))}),
		})
	}
	for _, p := range g.plugins.All() {
		config, err := g.of(p.Config)
		if err != nil {
			return nil, err
		}
		config.Description = p.Doc
		uses := with("stage", constant(string(p.Stage)))
		uses.Properties.Set("uses", constant(p.Name))
		uses.Required = append(uses.Required, "uses")
		step.AllOf = append(step.AllOf, &jsonschema.Schema{If: uses, Then: properties("with", config)})
	}
	return root, nil
}

// policy describes a SignaturePolicy.
func (g *generator) policy() (*jsonschema.Schema, error) {
	root, err := g.of(reflect.TypeFor[schema.SignaturePolicy]())
	if err != nil {
		return nil, err
	}
	root.Title = "strake " + schema.KindSignaturePolicy
	return root, nil
}

// file describes documents that are of a kind, or a Secret or ConfigMap.
func (g *generator) file(kind string, doc any, versions []string) (*jsonschema.Schema, error) {
	root := &jsonschema.Schema{
		Title: "strake " + kind, Type: "object", Required: []string{"apiVersion", "kind"},
		Properties: jsonschema.NewProperties(),
	}
	root.Properties.Set("apiVersion", &jsonschema.Schema{Enum: words(append(versions, "v1"))})
	root.Properties.Set("kind", &jsonschema.Schema{Enum: words([]string{kind, "Secret", "ConfigMap"})})
	for _, d := range []struct {
		kind     string
		doc      any
		versions []string
	}{{kind, doc, versions}, {"Secret", schema.Secret{}, []string{"v1"}}, {"ConfigMap", schema.ConfigMap{}, []string{"v1"}}} {
		ref, err := g.of(reflect.TypeOf(d.doc))
		if err != nil {
			return nil, err
		}
		fields := g.defs[d.kind].Properties
		for field, allowed := range map[string][]string{"apiVersion": d.versions, "kind": {d.kind}} {
			s, _ := fields.Get(field)
			s.MinLength, s.Enum = nil, words(allowed)
		}
		root.AllOf = append(root.AllOf, &jsonschema.Schema{If: with("kind", constant(d.kind)), Then: ref})
	}
	return root, nil
}

// entry describes an entry of a stage: one key that names a plugin, and its configuration.
func (g *generator) entry(stage stages.Stage) (*jsonschema.Schema, error) {
	var whole []*jsonschema.Schema
	one := uint64(1)
	keyed := &jsonschema.Schema{
		Type: "object", Properties: jsonschema.NewProperties(), AdditionalProperties: jsonschema.FalseSchema,
		MinProperties: &one, MaxProperties: &one,
	}
	for _, p := range g.plugins.All() {
		// In a kapp-controller App the build stage stands among the templates.
		if p.Stage != stage && (stage != stages.Template || p.Stage != stages.Build) {
			continue
		}
		config, err := g.of(p.Config)
		if err != nil {
			return nil, err
		}
		config.Description = p.Doc
		if !p.Whole {
			for _, key := range p.Keys {
				keyed.Properties.Set(key, config)
			}
			continue
		}
		for _, key := range p.Keys {
			config.OneOf = append(config.OneOf, &jsonschema.Schema{Required: []string{key}})
		}
		whole = append(whole, config)
	}
	switch {
	case len(whole) == 0:
		return keyed, nil
	case len(whole) == 1 && keyed.Properties.Len() == 0:
		return whole[0], nil
	case keyed.Properties.Len() > 0:
		whole = append(whole, keyed)
	}
	return &jsonschema.Schema{OneOf: whole}, nil
}

func constant(value string) *jsonschema.Schema { return &jsonschema.Schema{Const: value} }

// properties says something about one property, if it is there.
func properties(name string, s *jsonschema.Schema) *jsonschema.Schema {
	props := jsonschema.NewProperties()
	props.Set(name, s)
	return &jsonschema.Schema{Properties: props}
}

// with is a condition: the property is there, and as described.
func with(name string, s *jsonschema.Schema) *jsonschema.Schema {
	out := properties(name, s)
	out.Required = []string{name}
	return out
}
