package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// Parse reads the objects of a stream in their order, those of a List in its place. Documents without
// content are passed over; the error tells of all that are no objects, by the stream's name and the line
// where they begin.
func Parse(name string, stream []byte) ([]*unstructured.Unstructured, error) {
	type document struct {
		text    []byte
		line    int
		objects []*unstructured.Unstructured
		err     error
	}
	var docs []document
	line := 1
	for text := range Documents(stream) {
		docs = append(docs, document{text: text, line: line})
		line += bytes.Count(text, []byte("\n"))
	}
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	const few = 16 // at a time, so that handing out costs little
	for part := range slices.Chunk(docs, few) {
		group.Go(func() error {
			for n := range part {
				part[n].objects, part[n].err = objects(part[n].text)
			}
			return nil
		})
	}
	_ = group.Wait() // errors are the documents' own
	var (
		all  []*unstructured.Unstructured
		errs []error
	)
	for _, d := range docs {
		all = append(all, d.objects...)
		if d.err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", name, d.line+leading(d.text), d.err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return all, nil
}

// leading is how many lines of a document are before its content.
func leading(doc []byte) int {
	n := 0
	for line := range bytes.Lines(doc) {
		text := bytes.TrimSpace(line)
		if len(text) > 0 && text[0] != '#' && !bytes.Equal(text, []byte("---")) {
			return n
		}
		n++
	}
	return 0
}

// objects are those of a document.
func objects(doc []byte) ([]*unstructured.Unstructured, error) {
	var content any
	if err := yaml.Unmarshal(doc, &content); err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "error converting YAML to JSON: "))
	}
	if content == nil {
		return nil, nil
	}
	mapping, ok := content.(map[string]any)
	if !ok {
		return nil, errors.New("expected a Kubernetes object, found something that is no mapping")
	}
	if len(mapping) == 0 {
		return nil, nil
	}
	o := unstructured.Unstructured{Object: mapping}
	if !o.IsList() {
		return []*unstructured.Unstructured{&o}, complete(&o)
	}
	var all []*unstructured.Unstructured
	err := o.EachListItem(func(one apiruntime.Object) error {
		u, ok := one.(*unstructured.Unstructured)
		if !ok {
			return nil
		}
		all = append(all, u)
		return complete(u)
	})
	return all, err
}

// complete returns an error with what an object lacks to be one.
func complete(o *unstructured.Unstructured) error {
	for _, field := range [][]string{{"apiVersion"}, {"kind"}, {"metadata", "name"}} {
		text, found, err := unstructured.NestedString(o.Object, field...)
		switch {
		case err != nil:
			return fmt.Errorf("%s: expected a text; put numbers, yes, no, true and false in quotes", strings.Join(field, "."))
		case !found || text == "":
			return fmt.Errorf("expected a Kubernetes object with %s", strings.Join(field, "."))
		}
	}
	if _, err := schema.ParseGroupVersion(o.GetAPIVersion()); err != nil {
		return err
	}
	for _, field := range [][]string{{"metadata", "labels"}, {"metadata", "annotations"}} {
		if _, _, err := unstructured.NestedStringMap(o.Object, field...); err != nil {
			return fmt.Errorf("%s/%s: %s: expected texts only; put numbers and true or false in quotes", o.GetKind(), o.GetName(), strings.Join(field, "."))
		}
	}
	if _, _, err := unstructured.NestedString(o.Object, "metadata", "namespace"); err != nil {
		return fmt.Errorf("%s/%s: metadata.namespace: expected a text", o.GetKind(), o.GetName())
	}
	return nil
}
