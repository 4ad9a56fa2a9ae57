package main

import (
	"encoding/json"
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/invopop/jsonschema"

	"strake.dev/strake/schema"
)

// durationPattern is what time.ParseDuration reads, without negative durations.
const durationPattern = `^\+?(0|(([0-9]+([.][0-9]*)?|[.][0-9]+)(ns|us|µs|ms|s|m|h))+)$`

var (
	nodeType     = reflect.TypeFor[*schema.Node]()
	anyType      = reflect.TypeFor[any]()
	durationType = reflect.TypeFor[time.Duration]()
	timeType     = reflect.TypeFor[time.Time]()
	rawType      = reflect.TypeFor[json.RawMessage]()
	decoderType  = reflect.TypeFor[schema.NodeDecoder]()
)

// shortForms are types that a text can stand for, instead of a mapping of their fields.
var shortForms = []reflect.Type{reflect.TypeFor[schema.EnvVar](), reflect.TypeFor[schema.AppRef]()}

// A reflector describes Go types as schema.Decode reads them.
type reflector struct {
	comments comments
	defs     jsonschema.Definitions
	// written says that the types are of what strake writes, not of what it reads.
	written bool
	// types holds the type behind each definition, to notice two of one name.
	types map[string]reflect.Type
}

// of returns the schema of a type: for a struct a reference to its definition.
func (r *reflector) of(t reflect.Type) (*jsonschema.Schema, error) {
	switch {
	case t == nodeType, t == anyType, t == rawType:
		return &jsonschema.Schema{}, nil
	case t == timeType:
		return &jsonschema.Schema{Type: "string", Format: "date-time"}, nil
	case t == durationType:
		return &jsonschema.Schema{Type: "string", Pattern: durationPattern}, nil
	case t.Kind() == reflect.Pointer:
		return r.of(t.Elem())
	case slices.Contains(shortForms, t):
		whole, err := r.define(t)
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{{Type: "string"}, whole}}, err
	case reflect.PointerTo(t).Implements(decoderType):
		return &jsonschema.Schema{}, nil // it reads more than its type tells
	}
	switch t.Kind() {
	case reflect.Struct:
		return r.define(t)
	case reflect.Map:
		elem, err := r.of(t.Elem())
		return &jsonschema.Schema{Type: "object", AdditionalProperties: elem}, err
	case reflect.Slice:
		elem, err := r.of(t.Elem())
		return &jsonschema.Schema{Type: "array", Items: elem}, err
	case reflect.String:
		return &jsonschema.Schema{Type: "string"}, nil
	case reflect.Bool:
		return &jsonschema.Schema{Type: "boolean"}, nil
	case reflect.Int, reflect.Int32, reflect.Int64:
		return &jsonschema.Schema{Type: "integer"}, nil
	case reflect.Float64:
		return &jsonschema.Schema{Type: "number"}, nil
	default:
		return nil, fmt.Errorf("type %s can't be read from a file", t)
	}
}

// define makes the definition of a struct, unless there is one, and returns a reference to it.
func (r *reflector) define(t reflect.Type) (*jsonschema.Schema, error) {
	name := defName(t)
	ref := &jsonschema.Schema{Ref: "#/$defs/" + name}
	if known, ok := r.types[name]; ok {
		if known != t {
			return nil, fmt.Errorf("two types are named %s: %s and %s", name, known.PkgPath(), t.PkgPath())
		}
		return ref, nil
	}
	r.types[name] = t
	if r.written {
		r.defs[name] = &jsonschema.Schema{Type: "object", Description: r.comments.of(t.PkgPath(), t.Name()), Properties: jsonschema.NewProperties()}
		return ref, r.fields(t, r.defs[name])
	}
	def := &jsonschema.Schema{
		Type: "object", Description: r.comments.of(t.PkgPath(), t.Name()),
		Properties: jsonschema.NewProperties(), AdditionalProperties: jsonschema.FalseSchema,
	}
	r.defs[name] = def
	return ref, r.fields(t, def)
}

// defName is short for the types of files, and begins with the package for those of plugins.
func defName(t reflect.Type) string {
	if t.PkgPath() == module+"/schema" {
		return t.Name()
	}
	return path.Base(t.PkgPath()) + "." + t.Name()
}

// fields adds the fields of a struct to a definition, by the same tags that schema.Decode reads.
func (r *reflector) fields(t reflect.Type, def *jsonschema.Schema) error {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		if f.Anonymous && name == "" {
			if err := r.embed(f.Type, def); err != nil {
				return err
			}
			continue
		}
		if name == "" {
			name = f.Name
		}
		s, err := r.of(f.Type)
		if err != nil {
			return fmt.Errorf("%s.%s: %w", defName(t), f.Name, err)
		}
		s.Description = r.comments.of(t.PkgPath(), t.Name(), f.Name)
		if rest, ok := strings.CutPrefix(s.Description, f.Name+" "); ok {
			s.Description = name + " " + rest // readers know the field by its name in files
		}
		if e := f.Tag.Get("enum"); e != "" {
			s.Enum = words(strings.Split(e, ","))
		}
		if r.written && !strings.Contains(options, "omit") {
			def.Required = append(def.Required, name)
		}
		if f.Tag.Get("required") == "true" {
			def.Required = append(def.Required, name)
			if s.Type == "string" && s.Enum == nil {
				one := uint64(1)
				s.MinLength = &one
			}
		}
		def.Properties.Set(name, s)
	}
	return nil
}

// embed adds the fields of an embedded struct. Those of one that may be nil aren't required.
func (r *reflector) embed(t reflect.Type, def *jsonschema.Schema) error {
	if t.Kind() != reflect.Pointer {
		return r.fields(t, def)
	}
	required := def.Required
	err := r.fields(t.Elem(), def)
	def.Required = required
	return err
}

func words(values []string) []any {
	all := make([]any, len(values))
	for i, v := range values {
		all[i] = v
	}
	return all
}
