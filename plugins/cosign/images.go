package cosign

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"strake.dev/strake/internal/manifest"
	"strake.dev/strake/stages"
)

// images are those that the manifests name, each by its digest.
func images(job *stages.Job) ([]subject, error) {
	objects, err := manifest.Parse("manifests", job.Manifests)
	if err != nil {
		return nil, err
	}
	// users are the objects that name an image.
	users := map[string]string{}
	for _, o := range objects {
		collect(content(o), func(image string) {
			if users[image] == "" {
				users[image] = strings.ToLower(o.GetKind()) + "/" + o.GetName()
			}
		})
	}
	var subjects []subject
	var found []error
	for _, image := range slices.Sorted(maps.Keys(users)) {
		digest, err := name.NewDigest(image)
		switch {
		case err == nil:
			subjects = append(subjects, subject{users[image], digest})
		case job.Provisional:
			stages.Log(job.Events, fmt.Sprintf("%s: %s has no digest yet, and can't be verified before the run", users[image], image))
		default:
			found = append(found, fmt.Errorf("%s: image %s has no digest, so that it can't be told what was signed", users[image], image))
		}
	}
	if len(found) > 0 {
		return nil, stages.WithHint(errors.Join(found...), "a build stage, “build: [{kbld: {}}]”, resolves all images to digests")
	}
	return subjects, nil
}

// content is what of an object can name images.
func content(o *unstructured.Unstructured) any {
	if kind := o.GetKind(); o.GetAPIVersion() == "v1" && (kind == "ConfigMap" || kind == "Secret") {
		return nil
	}
	return o.Object
}

// collect finds the texts under the key image, which is where kbld finds images too: in pods of any kind, and
// in most custom resources.
func collect(value any, found func(image string)) {
	switch value := value.(type) {
	case map[string]any:
		for key, v := range value {
			if image, ok := v.(string); ok && key == "image" && image != "" {
				found(image)
				continue
			}
			collect(v, found)
		}
	case []any:
		for _, v := range value {
			collect(v, found)
		}
	}
}
