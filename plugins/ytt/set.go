package ytt

import (
	"encoding/json"
	"strings"

	"carvel.dev/ytt/pkg/cmd/template"
	"carvel.dev/ytt/pkg/cmd/ui"
	"carvel.dev/ytt/pkg/schema"
	"carvel.dev/ytt/pkg/workspace"
	"carvel.dev/ytt/pkg/yamlmeta"
)

// typedValues returns in.Set as YAML that has the types which the schema wants: a value of a string
// stays as it was typed, whatever YAML would make of it.
func typedValues(in Input, opts *template.Options, out ui.UI) (map[string]string, error) {
	root, err := schemaOf(in, opts, out)
	if err != nil {
		return nil, err
	}
	set := make(map[string]string, len(in.Set))
	for key, value := range in.Set {
		if wantsString(typeAt(root, strings.Split(key, ".")), value) {
			quoted, err := json.Marshal(asString(value))
			if err != nil {
				return nil, err
			}
			value = string(quoted)
		} else if strings.TrimSpace(value) == "" {
			// ytt's parser gives no document at all for nothing, and ytt doesn't expect that.
			value = "null"
		}
		set[key] = value
	}
	return set, nil
}

// schemaOf evaluates the schema of the root library, on files of its own because ytt changes them.
func schemaOf(in Input, opts *template.Options, out ui.UI) (schema.Type, error) {
	templates, err := library(in.Files)
	if err != nil {
		return nil, err
	}
	if templates, err = opts.FileMarksOpts.Apply(templates); err != nil {
		return nil, err
	}
	root := workspace.NewRootLibrary(templates)
	factory := workspace.NewLibraryExecutionFactory(out, workspace.TemplateLoaderOpts{
		IgnoreUnknownComments: in.IgnoreUnknownComments, StrictYAML: in.Strict,
	}, false)
	found, _, err := factory.New(workspace.LibraryExecutionContext{Current: root, Root: root}).Schemas(nil)
	if err != nil {
		return nil, err
	}
	return found.GetDocumentType().GetValueType(), nil
}

// typeAt returns the type of a value below t, or nil when the schema doesn't tell.
func typeAt(t schema.Type, keys []string) schema.Type {
	for _, key := range keys {
		if null, ok := t.(*schema.NullType); ok {
			t = null.GetValueType()
		}
		m, ok := t.(*schema.MapType)
		if !ok {
			return nil
		}
		t = nil
		for _, item := range m.Items {
			if item.Key == key {
				t = item.GetValueType()
			}
		}
	}
	return t
}

// wantsString tells whether a value of type t that was typed that way is to be a string.
func wantsString(t schema.Type, typed string) bool {
	if null, ok := t.(*schema.NullType); ok {
		if typed == "null" {
			return false
		}
		t = null.GetValueType()
	}
	scalar, ok := t.(*schema.ScalarType)
	return ok && scalar.ValueType == schema.StringType
}

// asString returns the string that a typed value means: what is in quotes is read as YAML, all else
// is taken as it is.
func asString(typed string) string {
	if !strings.HasPrefix(typed, `"`) && !strings.HasPrefix(typed, "'") {
		return typed
	}
	docs, err := yamlmeta.NewParser(yamlmeta.ParserOpts{WithoutComments: true}).ParseBytes([]byte(typed), "")
	if err == nil && len(docs.Items) == 1 {
		if text, ok := docs.Items[0].Value.(string); ok {
			return text
		}
	}
	return typed
}
