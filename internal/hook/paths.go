package hook

import (
	"fmt"
	"path/filepath"
	"strings"

	"strake.dev/strake/stages"
)

// tempPrefix is what the names of all of kapp-controller's folders for temporary files begin with.
const tempPrefix = "kapp-controller-"

// CheckPaths refuses paths of files by which an App has a tool read what isn't its own. kapp-controller
// makes sure that they begin with the App's folder, and no more: ytt reads of name=path the path, and kbld
// makes two of one that has a comma. Where builds are allowed the container has keys and credentials, so
// what is harmless elsewhere isn't here.
func CheckPaths(paths []string) error {
	work := ""
	for _, p := range paths {
		name, _, named := strings.Cut(p, "=")
		dir := workFolder(name)
		switch {
		case dir != "" && named:
			return stages.WithHint(fmt.Errorf("path %s: has “=”", p), "in a cluster, ytt would read another file than the App's: rename it")
		case dir != "" && work != "" && dir != work:
			return fmt.Errorf("the paths are of two Apps: %s and %s", work, dir)
		case dir != "":
			work = dir
		}
	}
	if work == "" {
		return nil // nothing is for an App
	}
	for _, p := range paths {
		if p != "-" && !beside(work, p) {
			return stages.WithHint(fmt.Errorf("path %s: is not the App's, which is in %s", p, work), "in a cluster, paths must have no comma")
		}
	}
	return nil
}

// beside tells whether a path is in a work folder, or in another of kapp-controller's folders that lie
// where that does.
func beside(work, path string) bool {
	rel, err := filepath.Rel(filepath.Dir(work), path)
	return err == nil && filepath.IsLocal(rel) && strings.HasPrefix(rel, tempPrefix)
}
