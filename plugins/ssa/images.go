package ssa

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// podSpecs are where objects of Kubernetes' own types have the specification of pods.
var podSpecs = [][]string{
	{"spec"}, {"spec", "template", "spec"}, {"spec", "jobTemplate", "spec", "template", "spec"},
}

// images are those that a workload or a pod runs.
func images(o *unstructured.Unstructured) []string {
	found := map[string]bool{}
	for _, path := range podSpecs {
		spec, _, _ := unstructured.NestedMap(o.Object, path...)
		for _, list := range []string{"initContainers", "containers"} {
			containers, _ := spec[list].([]any)
			for _, c := range containers {
				if m, ok := c.(map[string]any); ok {
					if image, _ := m["image"].(string); image != "" {
						found[image] = true
					}
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func imagesOf(items []*item) []string {
	found := map[string]bool{}
	for _, i := range items {
		for _, image := range images(i.want) {
			found[image] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}
