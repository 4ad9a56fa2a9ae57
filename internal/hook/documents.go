package hook

import (
	"carvel.dev/ytt/pkg/yamlmeta"
	"sigs.k8s.io/yaml"
)

// Enabled tells whether the environment allows builds, without looking at how.
func Enabled(getenv func(string) string) bool {
	return getenv(PolicyVariable) != "" || getenv(DestinationsVariable) != ""
}

// StampDocuments stamps the Configs that ytt has made of files of an App, given the paths of its “-f”, and
// tells whether there were any. Where builds aren't allowed, or no path is an App's, it does nothing: a
// stamp that an earlier ytt has made stays, and holds if the Config is still the same.
func StampDocuments(set *yamlmeta.DocumentSet, paths []string, getenv func(string) string) (changed bool, err error) {
	if !Enabled(getenv) {
		return false, nil
	}
	folder, err := AppFolder(paths)
	if err != nil || folder == "" {
		return false, err
	}
	for _, doc := range set.Items {
		done, err := stampDocument(doc, folder, getenv)
		if err != nil {
			return changed, err
		}
		changed = changed || done
	}
	return changed, nil
}

func stampDocument(doc *yamlmeta.Document, folder string, getenv func(string) string) (bool, error) {
	content, ok := doc.Value.(*yamlmeta.Map)
	if !ok || itemOf(content, "apiVersion") == nil || itemOf(content, "apiVersion").Value != ConfigVersion {
		return false, nil
	}
	// The stamp is over what kbld will read of what is printed.
	text, err := (&yamlmeta.DocumentSet{Items: []*yamlmeta.Document{doc}}).AsBytes()
	if err != nil {
		return false, err
	}
	var object map[string]any
	if err := yaml.Unmarshal(text, &object); err != nil || !HasSources(object) {
		return false, nil //nolint:nilerr // kbld says what is wrong with it
	}
	annotations := mapOf(mapOf(content, "metadata"), "annotations")
	if annotations == nil {
		return false, nil
	}
	key, err := keyFor(getenv, folder)
	if err != nil {
		return false, err
	}
	stamp, err := key.Stamp(object, folder)
	if err != nil {
		return false, err
	}
	if item := itemOf(annotations, Annotation); item != nil {
		item.Value = stamp
	} else {
		annotations.Items = append(annotations.Items, &yamlmeta.MapItem{Key: Annotation, Value: stamp})
	}
	return true, nil
}

func itemOf(m *yamlmeta.Map, key string) *yamlmeta.MapItem {
	for _, item := range m.Items {
		if item.Key == key {
			return item
		}
	}
	return nil
}

// mapOf returns the mapping of a key, which it adds if it isn't there; nil if the key has another value.
func mapOf(m *yamlmeta.Map, key string) *yamlmeta.Map {
	if m == nil {
		return nil
	}
	item := itemOf(m, key)
	if item == nil {
		item = &yamlmeta.MapItem{Key: key}
		m.Items = append(m.Items, item)
	}
	if item.Value == nil {
		item.Value = &yamlmeta.Map{}
	}
	found, _ := item.Value.(*yamlmeta.Map)
	return found
}
