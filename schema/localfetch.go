package schema

import (
	"path/filepath"
	"strconv"
	"strings"
)

// localFetch begins the annotations of an App, followed by the position of a source, that name a
// folder to take instead of the source: kctrl's, https://carvel.dev/kapp-controller/docs/latest/dev/.
const localFetch = "kctrl.carvel.dev/local-fetch-"

// FetchLocally replaces the App's sources by the folders that its annotations name for them; dir is
// the folder that these count from. Positions without a source are not looked at, as with kctrl.
func (f *File) FetchLocally(dir string) error {
	if f.App == nil {
		return nil
	}
	var found Diagnostics
	for key, folder := range f.App.Metadata.Annotations {
		position, ok := strings.CutPrefix(key, localFetch)
		if !ok {
			continue
		}
		i, err := strconv.Atoi(position)
		if err != nil {
			d := f.root.Get("metadata").Get("annotations").Get(key).Errorf("%q is not the position of a source", position)
			d.Hint = "expected a number, such as " + localFetch + "0"
			found = append(found, d)
			continue
		}
		if i < 0 || i >= len(f.App.Spec.Fetch) || f.App.Spec.Fetch[i].Node == nil {
			continue
		}
		if !filepath.IsAbs(folder) {
			folder = filepath.Join(dir, folder)
		}
		entry := &f.App.Spec.Fetch[i]
		source := map[string]any{"directory": map[string]any{"path": folder}}
		if path := entry.Node.Get("path"); path != nil {
			source["path"] = path.Text()
		}
		n, err := encode(source, entry.Node.yaml)
		if err != nil {
			return err
		}
		entry.Node = entry.Node.child(n, entry.Node.path)
	}
	return found.Err()
}
