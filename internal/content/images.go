package content

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"strake.dev/strake/internal/workload"
	"strake.dev/strake/stages"
)

// An ImagePath says where objects of a type name images.
type ImagePath struct {
	Type schema.GroupKind
	// Path are the keys that lead to the image; those of lists have their items looked at.
	Path []step
}

type step struct {
	key  string
	list bool
}

// knownPaths are those of types that everybody has.
func knownPaths() []ImagePath {
	steps := []step{{"spec", false}, {"steps", true}, {"image", false}}
	return []ImagePath{{schema.GroupKind{Group: "tekton.dev", Kind: "Task"}, steps}, {schema.GroupKind{Group: "tekton.dev", Kind: "ClusterTask"}, steps}}
}

// ParseImagePath reads “Kind.group=spec/steps[]/image”, with a path in the form of kustomize's field
// specifications.
func ParseImagePath(text string) (ImagePath, error) {
	wrong := func(problem string) error {
		return stages.WithHint(fmt.Errorf("image path %q: %s", text, problem), "expected KIND.GROUP=PATH, such as Prometheus.monitoring.coreos.com=spec/image or Task.tekton.dev=spec/steps[]/image")
	}
	kind, path, ok := strings.Cut(text, "=")
	if !ok || kind == "" || path == "" {
		return ImagePath{}, wrong("expected a type and a path")
	}
	p := ImagePath{Type: schema.ParseGroupKind(kind)}
	for key := range strings.SplitSeq(path, "/") {
		name, list := strings.CutSuffix(key, "[]")
		if name == "" {
			return ImagePath{}, wrong("a part of the path is empty")
		}
		p.Path = append(p.Path, step{name, list})
	}
	return p, nil
}

// Images are those that an object names, sorted. paths say where objects of further types have theirs.
func Images(o *unstructured.Unstructured, paths []ImagePath) []string {
	images := workload.Images(o.Object)
	for _, p := range append(knownPaths(), paths...) {
		if p.Type == o.GroupVersionKind().GroupKind() {
			p.visit(o.Object, p.Path, func(value string) string {
				images = append(images, value)
				return value
			})
		}
	}
	slices.Sort(images)
	return slices.Compact(images)
}

// visit gives each text at the path to a function, and puts what that returns in its place.
func (p ImagePath) visit(at any, path []step, replace func(string) string) {
	m, ok := at.(map[string]any)
	if !ok {
		return
	}
	value, rest := m[path[0].key], path[1:]
	if path[0].list {
		items, _ := value.([]any)
		for n := range items {
			if text, isText := items[n].(string); isText && len(rest) == 0 {
				items[n] = replace(text)
			} else if len(rest) > 0 {
				p.visit(items[n], rest, replace)
			}
		}
		return
	}
	if text, isText := value.(string); isText && len(rest) == 0 && text != "" {
		m[path[0].key] = replace(text)
	} else if len(rest) > 0 {
		p.visit(value, rest, replace)
	}
}

// Images are those of all objects of the set, sorted.
func (s *Set) Images(paths []ImagePath) []string {
	var all []string
	for _, o := range s.Objects {
		all = append(all, Images(o, paths)...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// ReplaceImages puts others in the place of images. Those that others doesn't name stay.
func (s *Set) ReplaceImages(others map[string]string, paths []ImagePath) {
	replace := func(image string) string {
		if other, ok := others[image]; ok {
			return other
		}
		return image
	}
	for _, o := range s.Objects {
		workload.ReplaceImages(o.Object, replace)
		for _, p := range append(knownPaths(), paths...) {
			if p.Type == o.GroupVersionKind().GroupKind() {
				p.visit(o.Object, p.Path, replace)
			}
		}
	}
}

// ErrNoObjects says that a set is empty where that can't be meant.
var ErrNoObjects = errors.New("there are no Kubernetes objects")
