package content

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"strake.dev/strake/internal/manifest"
)

// A Change is in what an object differs between two sets.
type Change struct {
	// Object is its name, as [Name] gives it.
	Object string `json:"object"`
	// Op is one of added, changed, removed.
	Op string `json:"op"`
	// Diff is a unified diff, with the values of Secrets masked.
	Diff string `json:"diff,omitempty"`
}

// Diff lists the objects in which two sets differ: those of the second in its order, then those that it
// lacks.
func Diff(before, after *Set) ([]Change, error) {
	id := func(o *unstructured.Unstructured) string { return o.GroupVersionKind().Group + " " + Name(o) }
	old := map[string]*unstructured.Unstructured{}
	for _, o := range before.Objects {
		old[id(o)] = o
	}
	changes := []Change{}
	add := func(op string, was, is *unstructured.Unstructured, name string) error {
		text, err := manifest.Diff("a/"+name, was, "b/"+name, is)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if text != "" {
			changes = append(changes, Change{Object: name, Op: op, Diff: text})
		}
		return nil
	}
	for _, o := range after.Objects {
		op, was := "changed", old[id(o)]
		if was == nil {
			op = "added"
		}
		delete(old, id(o))
		if err := add(op, was, o, Name(o)); err != nil {
			return nil, err
		}
	}
	for _, o := range before.Objects {
		if old[id(o)] == nil {
			continue
		}
		if err := add("removed", o, nil, Name(o)); err != nil {
			return nil, err
		}
	}
	return changes, nil
}
