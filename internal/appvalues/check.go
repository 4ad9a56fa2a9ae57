package appvalues

import (
	"slices"
	"strings"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// Stream is the path that stands for the manifests so far.
const Stream = "-"

// CheckPaths checks the paths of sources, the value of valuesFrom in n. The manifests so far can be
// read once.
func CheckPaths(n *schema.Node, sources []Source) error {
	var found schema.Diagnostics
	reads := 0
	for i, item := range n.Get("valuesFrom").Items() {
		at := item.Get("path")
		switch {
		case at == nil:
		case sources[i].Path != Stream:
			found.Collect(at.Pos(), at.Path(), CheckPath(at.Pos(), at.Path(), sources[i].Path))
		default:
			if reads++; reads > 1 {
				found = append(found, at.Errorf("“-” is given twice: the manifests so far can be read once"))
			}
		}
	}
	return found.Err()
}

// CheckPath checks that a path stays where it counts from. pos and field say where it is given.
func CheckPath(pos schema.Pos, field, path string) error {
	if path == "" {
		return schema.Diagnostic{Pos: pos, Path: field, Msg: "is empty, expected a path"}
	}
	if _, err := stages.Clean(path); err != nil {
		return schema.Diagnostic{Pos: pos, Path: field, Msg: err.Error()}
	}
	return nil
}

// ExactlyOne checks that one, and only one, of the named fields is given.
func ExactlyOne(n *schema.Node, given map[string]bool) error {
	var names, found []string
	for name, is := range given {
		names = append(names, name)
		if is {
			found = append(found, name)
		}
	}
	slices.Sort(names)
	slices.Sort(found)
	if len(found) == 1 {
		return nil
	}
	d := n.Errorf("expected exactly one of %s, found %s", list(names), list(found))
	d.Hint = "give each source an entry of its own"
	if len(found) == 0 {
		d.Hint = ""
	}
	return d
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
