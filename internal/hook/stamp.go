package hook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// Annotation is where a Config has its stamp.
const Annotation = "strake.dev/hook-stamp"

// stampVersion begins a stamp, and what it is made over.
const stampVersion = "v1"

// configKinds are the kinds of document in which kbld looks for sources.
var configKinds = []string{"Config", "Sources", "ImageOverrides", "ImageDestinations", "ImageKeys"}

// ConfigVersion is the apiVersion of all that configures kbld.
const ConfigVersion = "kbld.k14s.io/v1alpha1"

// HasSources tells whether a document is a Config of kbld that has images built. kbld reads keys without
// regard to case.
func HasSources(object map[string]any) bool {
	kind, _ := object["kind"].(string)
	if object["apiVersion"] != ConfigVersion || !slices.Contains(configKinds, kind) {
		return false
	}
	for key, value := range object {
		if list, ok := value.([]any); ok && len(list) > 0 && strings.EqualFold(key, "sources") {
			return true
		}
	}
	return false
}

// Stamp returns the text of the annotation that says that a document was rendered in a folder. It is
// worth nothing for another folder, or for a document with other content.
func (k Key) Stamp(object map[string]any, folder string) (string, error) {
	content, err := json.Marshal(unstamped(object))
	if err != nil {
		return "", err
	}
	sum := hmac.New(sha256.New, k[:])
	// The length keeps folder and content apart.
	fmt.Fprintf(sum, "strake hook %s\n%d %s\n", stampVersion, len(folder), folder)
	sum.Write(content)
	return fmt.Sprintf("%s %s %s", stampVersion, hex.EncodeToString(sum.Sum(nil)), folder), nil
}

// A StampError says why a stamp isn't accepted.
type StampError struct{ reason string }

func (e *StampError) Error() string { return "annotation " + Annotation + ": " + e.reason }

// Folder returns the folder that a document's stamp names; it is empty where there is no stamp. The
// error is a [StampError].
func (k Key) Folder(object map[string]any) (string, error) {
	text, ok := stampOf(object)
	if !ok {
		return "", nil
	}
	folder, err := stampedFolder(text)
	if err != nil {
		return "", err
	}
	want, err := k.Stamp(object, folder)
	if err != nil || !hmac.Equal([]byte(want), []byte(text)) {
		return "", &StampError{"was not made in this pod for this Config as it is: the Config was changed after ytt had rendered it, or the stamp is forged"}
	}
	return folder, nil
}

// stampedFolder reads the folder that a stamp claims.
func stampedFolder(text string) (string, error) {
	version, rest, _ := strings.Cut(text, " ")
	sum, folder, ok := strings.Cut(rest, " ")
	switch {
	case version != stampVersion || !ok || len(sum) != 2*sha256.Size:
		return "", &StampError{"is not a stamp"}
	case !filepath.IsAbs(folder) || filepath.Clean(folder) != folder:
		return "", &StampError{"names no absolute path"}
	}
	return folder, nil
}

// stampOf returns a document's stamp.
func stampOf(object map[string]any) (string, bool) {
	metadata, _ := object["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	value, ok := annotations[Annotation]
	if !ok {
		return "", false
	}
	text, _ := value.(string)
	return text, true
}

// unstamped is a document without its stamp, and without what may have been added only to hold it.
func unstamped(object map[string]any) map[string]any {
	metadata, ok := object["metadata"].(map[string]any)
	if !ok {
		return object
	}
	object, metadata = maps.Clone(object), maps.Clone(metadata)
	if annotations, ok := metadata["annotations"].(map[string]any); ok {
		annotations = maps.Clone(annotations)
		delete(annotations, Annotation)
		metadata["annotations"] = annotations
		if len(annotations) == 0 {
			delete(metadata, "annotations")
		}
	}
	object["metadata"] = metadata
	if len(metadata) == 0 {
		delete(object, "metadata")
	}
	return object
}
