// Package content is what configuration artifacts hold and inventories are applied from: a set of
// Kubernetes objects in the order in which they are applied, read from files, folders, kustomizations
// and streams.
//
// Order and text are Kustomizer's, so that equal objects have the checksum that it gives them.
package content

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	fluxssa "github.com/fluxcd/pkg/ssa"
	"go.yaml.in/yaml/v2"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"strake.dev/strake/internal/manifest"
)

// A Set holds the objects of a configuration, in the order in which they are applied.
type Set struct{ Objects []*unstructured.Unstructured }

// Parse reads a set from a stream. The name is for errors.
func Parse(name string, stream []byte) (*Set, error) {
	objects, err := manifest.Parse(name, stream)
	if err != nil {
		return nil, err
	}
	return NewSet(objects)
}

// NewSet puts objects in the order in which they are applied: definitions and namespaces first, webhooks
// last. Two of the same name are an error.
func NewSet(objects []*unstructured.Unstructured) (*Set, error) {
	slices.SortStableFunc(objects, compare)
	var errs []error
	for n := 1; n < len(objects); n++ {
		if compare(objects[n-1], objects[n]) == 0 {
			errs = append(errs, fmt.Errorf("%s is given twice", Name(objects[n])))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Set{Objects: objects}, nil
}

func compare(a, b *unstructured.Unstructured) int {
	pair := fluxssa.SortableUnstructureds{a, b}
	switch {
	case pair.Less(0, 1):
		return -1
	case pair.Less(1, 0):
		return 1
	}
	return 0
}

// Name names an object in Kustomizer's way: Kind/namespace/name, or Kind/name without a namespace.
func Name(o *unstructured.Unstructured) string {
	parts := slices.DeleteFunc([]string{o.GetKind(), o.GetNamespace(), o.GetName()}, func(s string) bool { return s == "" })
	return strings.Join(parts, "/")
}

// YAML is the text of the set, equal for equal objects.
func (s *Set) YAML() ([]byte, error) {
	texts := make([][]byte, len(s.Objects))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	const few = 16 // at a time, so that handing out costs little
	for start := 0; start < len(texts); start += few {
		group.Go(func() error {
			for n := start; n < min(start+few, len(texts)); n++ {
				text, err := marshal(s.Objects[n].Object)
				if err != nil {
					return fmt.Errorf("%s: %w", Name(s.Objects[n]), err)
				}
				texts[n] = append(text, "---\n"...)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return bytes.Join(texts, nil), nil
}

// marshal is sigs.k8s.io/yaml.Marshal for what was read from YAML or JSON. That one makes JSON of it first, and
// reads that, which takes most of its time.
func marshal(object map[string]any) ([]byte, error) { return yaml.Marshal(object) }

// Checksum is the SHA-256 of a text, in hex.
func Checksum(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
