package exec

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/protocol"
)

// An Output is what a step says of a value that its plugin yields.
type Output struct {
	// Type is one of string, int, bool.
	Type string `json:"type"`
	// Doc says what it is.
	Doc string `json:"doc,omitempty"`
}

// examples are values of the types that outputs have.
var examples = map[string]any{"string": "example", "int": int64(1), "bool": true}

var outputName = regexp.MustCompile(`^[a-z][A-Za-z0-9_]{0,62}$`)

// checkOutputs checks what a step declares; n is the node of its outputs.
func checkOutputs(n *schema.Node, outputs map[string]Output) error {
	var found schema.Diagnostics
	for _, name := range slices.Sorted(maps.Keys(outputs)) {
		at, o := n.Get(name), outputs[name]
		if !outputName.MatchString(name) {
			found = append(found, at.Errorf("expected the name of an output, of letters, digits and “_”, found %q", name))
		}
		if ofStages(name) {
			found = append(found, at.Errorf("%s is an output that strake gives to steps: choose another name", name))
		}
		if _, ok := examples[o.Type]; !ok {
			found = append(found, at.Errorf("expected the type string, int or bool, found %q", o.Type))
		}
	}
	return found.Err()
}

// ofStages tells whether all steps of some stage have an output of that name.
func ofStages(name string) bool {
	return slices.ContainsFunc(stages.All(), func(stage stages.Stage) bool {
		return slices.ContainsFunc(stages.Outputs(stage), func(o stages.Output) bool { return o.Name == name })
	})
}

// Outputs are those that the step declares.
func (s *step) Outputs() []stages.Output {
	var all []stages.Output
	for _, name := range slices.Sorted(maps.Keys(s.config.Outputs)) {
		o := s.config.Outputs[name]
		all = append(all, stages.Output{Name: name, Doc: o.Doc, Example: examples[o.Type]})
	}
	return all
}

// types are those of the outputs, for the plugin.
func (s *step) types() map[string]string {
	all := map[string]string{}
	for name, o := range s.config.Outputs {
		all[name] = o.Type
	}
	return all
}

// outputs are the values that a plugin has yielded, in the types that the step declares. All have to be there,
// unless it has done nothing or was only asked what it would do.
func (s *step) outputs(r *protocol.Result, op string) (map[string]any, error) {
	for _, name := range slices.Sorted(maps.Keys(r.Outputs)) {
		if _, ok := s.config.Outputs[name]; !ok {
			return nil, stages.WithHint(fmt.Errorf("has yielded the output %s, which the step doesn't declare", text(name)),
				"declare it, if you want to use it: outputs: {%s: {type: %s}}", text(name), typeOf(r.Outputs[name]))
		}
	}
	values := map[string]any{}
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(s.config.Outputs)) {
		value, ok := r.Outputs[name]
		if !ok {
			missing = append(missing, name)
			continue
		}
		typed, err := typed(value, s.config.Outputs[name].Type)
		if err != nil {
			return nil, fmt.Errorf("output %s: %w", name, err)
		}
		values[name] = typed
	}
	if len(missing) > 0 && op == protocol.Run && r.Skipped == "" {
		return nil, fmt.Errorf("has not yielded what the step declares: outputs: %s", strings.Join(missing, ", "))
	}
	return values, nil
}

// typed is a value of JSON in the type of an output.
func typed(value any, kind string) (any, error) {
	const exact = 1 << 53 // above, numbers of JSON aren't
	switch v := value.(type) {
	case string:
		if kind == "string" && longText(v) != v {
			return nil, fmt.Errorf("expected a text of at most %d bytes without control characters", maxLongText)
		}
		if kind == "string" {
			return v, nil
		}
	case bool:
		if kind == "bool" {
			return v, nil
		}
	case float64:
		if kind == "int" && v == math.Trunc(v) && math.Abs(v) <= exact {
			return int64(v), nil
		}
	}
	return nil, fmt.Errorf("expected the type %s, found %s", kind, typeOf(value))
}

// typeOf names the type of a value of JSON.
func typeOf(value any) string {
	switch v := value.(type) {
	case string:
		return "string"
	case bool:
		return "bool"
	case float64:
		if v == math.Trunc(v) {
			return "int"
		}
		return "number"
	case nil:
		return "null"
	case []any:
		return "array"
	default:
		return "object"
	}
}
