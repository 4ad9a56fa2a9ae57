package schema

import (
	"reflect"
	"strings"

	"github.com/agext/levenshtein"
)

// A field is what the tags of one struct field say.
type field struct {
	name     string
	index    []int
	required bool
	enum     []string
}

type fields []field

func (fs fields) byName(name string) (field, bool) {
	for _, f := range fs {
		if f.name == name {
			return f, true
		}
	}
	return field{}, false
}

func (fs fields) names() []string {
	names := make([]string, len(fs))
	for i, f := range fs {
		names[i] = f.name
	}
	return names
}

// fieldsOf lists the fields of a struct that a file may set, those of embedded structs included.
func fieldsOf(t reflect.Type) fields {
	var fs fields
	for i := range t.NumField() {
		sf := t.Field(i)
		name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if name == "-" || !sf.IsExported() {
			continue
		}
		if sf.Anonymous && name == "" {
			for _, f := range fieldsOf(sf.Type) {
				f.index = append([]int{i}, f.index...)
				fs = append(fs, f)
			}
			continue
		}
		if name == "" {
			name = sf.Name
		}
		f := field{name: name, index: []int{i}, required: sf.Tag.Get("required") == "true"}
		if e := sf.Tag.Get("enum"); e != "" {
			f.enum = strings.Split(e, ",")
		}
		fs = append(fs, f)
	}
	return fs
}

// Suggest returns a hint for a name that isn't known: the nearest known one when it is near, else
// all of them when they are few, else nothing.
func Suggest(name string, known []string) string {
	best, distance := "", 0
	for _, k := range known {
		d := levenshtein.Distance(strings.ToLower(name), strings.ToLower(k), nil)
		if best == "" || d < distance {
			best, distance = k, d
		}
	}
	const few = 12
	switch {
	case best == "":
		return ""
	case distance <= max(1, (len(name)+1)/3) && distance < len(name):
		return "did you mean " + best + "?"
	case len(known) <= few:
		return "known: " + strings.Join(known, ", ")
	default:
		return ""
	}
}
