package manifest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// overlay is an overlay of ytt that does what the strategic merge patch does.
func overlay(o Options) ([]byte, error) {
	var out bytes.Buffer
	out.WriteString("#@ load(\"@ytt:overlay\", \"overlay\")\n")
	if len(o.Policy) > 0 {
		text, err := yaml.Marshal(o.configMap())
		if err != nil {
			return nil, err
		}
		out.WriteString("---\n" + string(text))
	}
	deployment := o.deployment()
	fmt.Fprintf(&out, "#@overlay/match by=overlay.subset({\"kind\": \"Deployment\", \"metadata\": {\"name\": %q, \"namespace\": %q}})\n", o.Deployment, o.Namespace)
	out.WriteString("---\n")
	for _, key := range []string{"apiVersion", "kind", "metadata"} {
		delete(deployment, key)
	}
	if err := writeMap(&out, deployment, 0); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// mergeKeys are what the API merges the entries of lists by.
var mergeKeys = map[string]string{
	"containers": "name", "initContainers": "name", "volumes": "name", "env": "name", "volumeMounts": "mountPath",
}

// existing are the lists whose entries must be there before.
var existing = []string{"containers"}

// writeMap writes a mapping of which nothing needs to be there before, and lists by what they are merged by.
func writeMap(out *bytes.Buffer, m object, depth int) error {
	indent := strings.Repeat("  ", depth)
	for _, key := range slices.Sorted(maps.Keys(m)) {
		list, isList := m[key].([]any)
		switch {
		case isList && mergeKeys[key] == "":
			fmt.Fprintf(out, "%s#@overlay/replace or_add=True\n", indent)
		case depth > 0:
			fmt.Fprintf(out, "%s#@overlay/match missing_ok=True\n", indent)
		}
		switch value := m[key].(type) {
		case object:
			if len(value) == 0 {
				fmt.Fprintf(out, "%s%s: {}\n", indent, key)
				continue
			}
			fmt.Fprintf(out, "%s%s:\n", indent, key)
			if err := writeMap(out, value, depth+1); err != nil {
				return err
			}
		case []any:
			fmt.Fprintf(out, "%s%s:\n", indent, key)
			if err := writeList(out, key, list, depth); err != nil {
				return err
			}
		default:
			if err := writeValue(out, indent+key+": ", value); err != nil {
				return err
			}
		}
	}
	return nil
}

func writeList(out *bytes.Buffer, name string, list []any, depth int) error {
	indent := strings.Repeat("  ", depth)
	by, merged := mergeKeys[name]
	for _, item := range list {
		m, isMap := item.(object)
		switch {
		case merged && isMap:
			missing := ", missing_ok=True"
			if slices.Contains(existing, name) {
				missing = ""
			}
			fmt.Fprintf(out, "%s#@overlay/match by=%q%s\n", indent, by, missing)
			// What identifies the entry comes first.
			if err := writeValue(out, indent+"- "+by+": ", m[by]); err != nil {
				return err
			}
			rest := maps.Clone(m)
			delete(rest, by)
			if err := writeMap(out, rest, depth+1); err != nil {
				return err
			}
		default:
			if err := writeValue(out, indent+"- ", item); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeValue writes a value on one line: JSON is YAML, except for how long its lines are.
func writeValue(out *bytes.Buffer, prefix string, value any) error {
	text, err := yaml.Marshal(value)
	if err != nil {
		return err
	}
	line := strings.TrimSpace(string(text))
	if _, nested := value.(object); nested || strings.Contains(line, "\n") {
		json, err := yaml.YAMLToJSON(text)
		if err != nil {
			return err
		}
		line = string(json)
	}
	out.WriteString(prefix + line + "\n")
	return nil
}
