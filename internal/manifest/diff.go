package manifest

import (
	fluxssa "github.com/fluxcd/pkg/ssa"
	"github.com/rogpeppe/go-internal/diff"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// noise is what the server keeps beside what people write.
var noise = [][]string{
	{"status"},
	{"metadata", "managedFields"},
	{"metadata", "resourceVersion"},
	{"metadata", "generation"},
	{"metadata", "uid"},
	{"metadata", "creationTimestamp"},
	{"metadata", "deletionTimestamp"},
	{"metadata", "selfLink"},
	{"metadata", "annotations", corev1.LastAppliedConfigAnnotation},
}

// Diff is a unified diff between two states of an object, either of which may be nil, without what the
// server keeps beside what people write, and with the values of Secrets masked. The names are those of
// the states. It is empty if there is no difference.
func Diff(oldName string, before *unstructured.Unstructured, newName string, after *unstructured.Unstructured) (string, error) {
	before, after = readable(before), readable(after)
	if secret(before) || secret(after) {
		if err := fluxssa.SanitizeUnstructuredData(before, after); err != nil {
			return "", err
		}
	}
	var texts [2][]byte
	for n, o := range []*unstructured.Unstructured{before, after} {
		if o == nil {
			continue
		}
		var err error
		if texts[n], err = yaml.Marshal(o.Object); err != nil {
			return "", err
		}
	}
	return string(diff.Diff(oldName, texts[0], newName, texts[1])), nil
}

func secret(o *unstructured.Unstructured) bool {
	return o != nil && o.GetAPIVersion() == "v1" && o.GetKind() == "Secret"
}

// readable is a copy of an object without noise.
func readable(o *unstructured.Unstructured) *unstructured.Unstructured {
	if o == nil {
		return nil
	}
	o = o.DeepCopy()
	for _, path := range noise {
		unstructured.RemoveNestedField(o.Object, path...)
	}
	if len(o.GetAnnotations()) == 0 {
		unstructured.RemoveNestedField(o.Object, "metadata", "annotations")
	}
	return o
}
