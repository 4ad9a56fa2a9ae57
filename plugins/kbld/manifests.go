package kbld

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"

	kbldcmd "carvel.dev/kbld/pkg/kbld/cmd"
	kbldconfig "carvel.dev/kbld/pkg/kbld/config"
	"carvel.dev/kbld/pkg/kbld/search"
	"sigs.k8s.io/yaml"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/stages"
)

// An image is what a reference became, and by which way.
type image struct {
	url     string
	origins []kbldconfig.Origin
	action  string
	reason  string
	// annotations go into the lock, besides kbld's own.
	annotations map[string]string
	// built is what is known of an image with a source.
	built buildkit.Result
	// changed names everything that led to the build.
	changed []string
	// pending means that the image isn't there yet: a plan would build it.
	pending bool
}

// references lists, sorted, the distinct references of the manifests.
func (in *input) references() ([]string, error) {
	found := map[string]bool{}
	for _, object := range in.objects {
		err := safely("looking for images in "+object.Description(), func() error {
			search.NewImageRefs(object.DeepCopyRaw(), in.conf.SearchRules()).Visit(func(ref string) (string, bool) {
				found[ref] = true
				return "", false
			})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// manifests returns the objects as a stream, with their references replaced, and annotated.
func (in *input) manifests(images map[string]image) (stages.Manifests, error) {
	texts, err := in.rewrite(images, true)
	if err != nil {
		return nil, err
	}
	out := stages.Manifests{}
	for _, text := range texts {
		out = append(append(out, "---\n"...), text...)
	}
	return out, nil
}

// rewrite returns each object with its references replaced and, if asked, annotated as kbld does.
func (in *input) rewrite(images map[string]image, annotate bool) ([][]byte, error) {
	var out [][]byte
	for _, object := range in.objects {
		err := safely("replacing images in "+object.Description(), func() error {
			content := object.DeepCopyRaw()
			var used []kbldcmd.Image
			search.NewImageRefs(content, in.conf.SearchRules()).Visit(func(ref string) (string, bool) {
				i := images[ref]
				if annotate {
					used = append(used, kbldcmd.Image{URL: i.url, Origins: i.origins})
				}
				return i.url, true
			})
			sortImages(used)
			text, err := kbldcmd.NewResourceWithImages(content, used).Bytes()
			if err != nil {
				return fmt.Errorf("%s: %w", object.Description(), err)
			}
			out = append(out, text)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// sortImages gives images one order. kbld sorts by URL alone, and meets the references of a mapping
// in random order.
func sortImages(images []kbldcmd.Image) {
	slices.SortStableFunc(images, func(a, b kbldcmd.Image) int {
		if c := cmp.Compare(a.URL, b.URL); c != 0 {
			return c
		}
		return bytes.Compare(originsYAML(a.Origins), originsYAML(b.Origins))
	})
}

// originsYAML prints origins as kbld does in a lock; none gives nil.
func originsYAML(origins []kbldconfig.Origin) []byte {
	if len(origins) == 0 {
		return nil
	}
	text, err := yaml.Marshal(origins)
	if err != nil {
		return nil
	}
	return text
}
