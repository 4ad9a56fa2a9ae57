package ytt

import (
	"maps"
	"slices"
	"strings"

	"strake.dev/strake/schema"
)

// marks are the values of each key of a file mark; nil stands for any.
// https://carvel.dev/ytt/docs/latest/file-marks/
var marks = map[string][]string{
	"path":                 nil,
	"exclude":              {"true"},
	"type":                 {"yaml-template", "yaml-plain", "text-template", "text-plain", "starlark", "data"},
	"for-output":           {"true"},
	"exclusive-for-output": {"true"},
}

// checkMark checks the form of a file mark. Whether it matches a file, only ytt can tell.
func checkMark(at *schema.Node, mark string) error {
	// ytt splits at the first colon too, so that a path can't hold one.
	path, setting, hasColon := strings.Cut(mark, ":")
	key, value, hasEqual := strings.Cut(setting, "=")
	if !hasColon || !hasEqual || path == "" {
		d := at.Errorf("file mark %q: expected the form path:key=value", mark)
		d.Hint = "for example “config/**/*.txt:type=text-plain”"
		return d
	}
	values, known := marks[key]
	if !known {
		d := at.Errorf("file mark %q: unknown key %q", mark, key)
		d.Hint = schema.Suggest(key, slices.Sorted(maps.Keys(marks)))
		return d
	}
	if len(values) == 0 {
		if value == "" {
			return at.Errorf("file mark %q: expected a path after %q", mark, key+"=")
		}
		return nil
	}
	if slices.Contains(values, value) {
		return nil
	}
	d := at.Errorf("file mark %q: unknown value %q of %s", mark, value, key)
	d.Hint = schema.Suggest(value, values)
	return d
}
