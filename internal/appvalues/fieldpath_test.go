package appvalues

import (
	"errors"
	"testing"

	"strake.dev/strake/stages"
)

func FuzzFieldPath(f *testing.F) {
	for _, s := range []string{"metadata.name", "{.metadata.uid}", "metadata.labels['a/b']", `metadata.annotations.a\.b`, "metadata.labels[", "{", ""} {
		f.Add(s)
	}
	app := stages.App{Name: "app", Labels: map[string]string{"a/b": "c"}}
	f.Fuzz(func(t *testing.T, text string) {
		field, err := parseFieldPath(text)
		if err != nil {
			if !errors.Is(err, errFieldPath) {
				t.Fatalf("%q: unexpected error %v", text, err)
			}
			return
		}
		if field.keyed == (field.key == "") {
			t.Fatalf("%q: a key that is empty, or one that was not asked for: %+v", text, field)
		}
		if _, err := field.of(app); err != nil && !field.keyed {
			t.Fatalf("%q: %v", text, err)
		}
	})
}
