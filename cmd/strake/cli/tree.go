package cli

import (
	"cmp"
	"io"
	"strings"

	"strake.dev/strake/stages"
)

// printTree prints objects below those that they belong to. Objects whose owner isn't among them, or
// that own each other, stand at the top.
func printTree(w io.Writer, objects []stages.Object) {
	known := map[string]bool{}
	for _, o := range objects {
		known[o.UID] = o.UID != ""
	}
	children := map[string][]stages.Object{}
	var roots []stages.Object
	for _, o := range objects {
		if known[o.Parent] && o.Parent != o.UID {
			children[o.Parent] = append(children[o.Parent], o)
		} else {
			roots = append(roots, o)
		}
	}
	var rows [][]string
	shown := map[string]bool{}
	var add func(o stages.Object, first, rest string)
	add = func(o stages.Object, first, rest string) {
		if o.UID != "" && shown[o.UID] {
			return
		}
		shown[o.UID] = true
		rows = append(rows, treeRow(o, first))
		below := children[o.UID]
		if o.UID == "" {
			below = nil
		}
		for i, c := range below {
			if i == len(below)-1 {
				add(c, rest+"└─ ", rest+"   ")
			} else {
				add(c, rest+"├─ ", rest+"│  ")
			}
		}
	}
	for _, o := range roots {
		add(o, "", "")
	}
	for _, o := range objects {
		if o.UID != "" {
			add(o, "", "") // those of a circle
		}
	}
	align(w, []string{"OBJECT", "NAMESPACE", "STATE", "AGE", "IMAGES", "NOTE"}, rows)
}

func treeRow(o stages.Object, indent string) []string {
	var notes []string
	if o.Reason != "" {
		notes = append(notes, o.Reason)
	}
	if o.Drift != "" {
		notes = append(notes, "changed since the deploy: "+o.Drift)
	}
	row := []string{
		o.Kind + "/" + o.Name, cmp.Or(o.Namespace, "(cluster)"), o.State, age(o.Created),
		strings.Join(o.Images, " "), strings.Join(notes, "; "),
	}
	clean(row)
	row[0] = indent + row[0]
	return row
}
