// Package workload tells about objects that run pods.
package workload

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"strake.dev/strake/stages"
)

// podSpecs are where objects of Kubernetes' own types have the specification of pods.
var podSpecs = [][]string{
	{"spec"}, {"spec", "template", "spec"}, {"spec", "jobTemplate", "spec", "template", "spec"},
}

// each calls do for each container of a workload or a pod, with the list that it is in.
func each(object map[string]any, do func(list string, container map[string]any)) {
	for _, path := range podSpecs {
		at, _, _ := unstructured.NestedFieldNoCopy(object, path...)
		spec, _ := at.(map[string]any)
		for _, list := range []string{"initContainers", "containers"} {
			items, _ := spec[list].([]any)
			for _, item := range items {
				if c, ok := item.(map[string]any); ok {
					do(list, c)
				}
			}
		}
	}
}

// containers are the images of a workload's or a pod's containers, by their names.
func containers(object map[string]any) map[string]string {
	found := map[string]string{}
	each(object, func(list string, c map[string]any) {
		name, _ := c["name"].(string)
		if image, _ := c["image"].(string); image != "" {
			found[list+"/"+name] = image
		}
	})
	return found
}

// ReplaceImages puts others in the place of the images of a workload or a pod.
func ReplaceImages(object map[string]any, other func(image string) string) {
	each(object, func(_ string, c map[string]any) {
		if image, _ := c["image"].(string); image != "" {
			c["image"] = other(image)
		}
	})
}

// Images are those that a workload or a pod runs, sorted.
func Images(object map[string]any) []string {
	return slices.Compact(slices.Sorted(maps.Values(containers(object))))
}

// ImageChanges are the images of an object that others take the place of, by container. Either object may
// be nil.
func ImageChanges(was, will map[string]any) []stages.ImageChange {
	before, after := containers(was), containers(will)
	names := maps.Clone(before)
	maps.Copy(names, after)
	var changes []stages.ImageChange
	for _, name := range slices.Sorted(maps.Keys(names)) {
		c := stages.ImageChange{From: before[name], To: after[name]}
		if c.From != c.To && !slices.Contains(changes, c) {
			changes = append(changes, c)
		}
	}
	return changes
}
