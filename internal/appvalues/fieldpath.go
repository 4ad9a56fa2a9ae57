package appvalues

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"strake.dev/strake/stages"
)

// A fieldPath names a field of the App: a part of its metadata, and maybe a key of that.
type fieldPath struct {
	// part is one of name, namespace, uid, labels, annotations.
	part string
	// key is that of a label or annotation; keyed tells whether there is one.
	key   string
	keyed bool
}

var errFieldPath = errors.New("expected metadata.name, .namespace, .uid, .labels, .annotations, .labels['key'] or .annotations['key']")

// parseFieldPath reads the JSONPath expressions that make sense for metadata. As in kapp-controller,
// the braces and the leading dot of {.metadata.name} may be left out.
func parseFieldPath(text string) (fieldPath, error) {
	wrong := func() (fieldPath, error) {
		return fieldPath{}, fmt.Errorf("field path %q: %w", text, errFieldPath)
	}
	inner := text
	if strings.HasPrefix(inner, "{") {
		if !strings.HasSuffix(inner, "}") {
			return wrong()
		}
		inner = inner[1 : len(inner)-1]
	}
	rest, ok := strings.CutPrefix(strings.TrimPrefix(inner, "."), "metadata.")
	if !ok {
		return wrong()
	}
	end := strings.IndexAny(rest, ".[")
	if end < 0 {
		end = len(rest)
	}
	f := fieldPath{part: rest[:end]}
	selector := rest[end:]
	f.keyed = selector != ""
	switch {
	case !slices.Contains([]string{"name", "namespace", "uid", "labels", "annotations"}, f.part):
		return wrong()
	case !f.keyed:
		return f, nil
	case f.part != "labels" && f.part != "annotations":
		return wrong()
	}
	if f.key, ok = parseSelector(selector); !ok {
		return wrong()
	}
	return f, nil
}

// parseSelector reads ['key'], ["key"] or .key, in which “\.” is a dot.
func parseSelector(s string) (key string, ok bool) {
	for _, quote := range []string{"'", `"`} {
		if inner, isOpen := strings.CutPrefix(s, "["+quote); isOpen {
			key, isClosed := strings.CutSuffix(inner, quote+"]")
			return key, isClosed && key != "" && !strings.ContainsAny(key, "'\"[]")
		}
	}
	parts := splitName(strings.TrimPrefix(s, "."))
	return parts[0], strings.HasPrefix(s, ".") && len(parts) == 1 && parts[0] != "" && !strings.ContainsAny(parts[0], "[]*'\"")
}

// of returns what the path names in the App.
func (f fieldPath) of(app stages.App) (any, error) {
	values := map[string]map[string]string{"labels": app.Labels, "annotations": app.Annotations}[f.part]
	switch {
	case f.part == "name":
		return app.Name, nil
	case f.part == "namespace":
		return app.Namespace, nil
	case f.part == "uid":
		return app.UID, nil
	case !f.keyed:
		return values, nil
	}
	value, ok := values[f.key]
	if !ok {
		return nil, fmt.Errorf("the App has no key %q in its %s", f.key, f.part)
	}
	return value, nil
}

// splitName splits at dots; a backslash takes the next character as it is.
func splitName(name string) []string {
	var parts []string
	var part strings.Builder
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c == '\\' && i+1 < len(name):
			i++
			part.WriteByte(name[i])
		case c == '.':
			parts = append(parts, part.String())
			part.Reset()
		default:
			part.WriteByte(c)
		}
	}
	return append(parts, part.String())
}
