package hook

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// workPrefix is what the names of kapp-controller's work folders begin with, followed by something random
// (kapp-controller, pkg/app/app_reconcile.go and pkg/memdir).
const workPrefix = "kapp-controller-fetch-template-deploy"

// AppFolder returns the folder of the App that a command of kapp-controller works for, given the paths
// of its “-f”; it is empty if none of them is in a work folder.
//
// A work folder D has one folder for each fetch entry. The App's folder is D/0 where there is one entry
// without a path, as there was in kapp-controller's beginnings, and D otherwise. Of the two cases that
// look alike, an entry with the path “0” is told only if D itself is among the paths.
//
// A path with “=” doesn't count: kapp-controller makes none, but an App can have it append “=” and an
// absolute path, which ytt then reads instead.
func AppFolder(paths []string) (string, error) {
	work, whole := "", false
	for _, p := range paths {
		dir := workFolder(p)
		switch {
		case dir == "":
			continue
		case work != "" && dir != work:
			return "", fmt.Errorf("the paths are of two Apps: %s and %s", work, dir)
		}
		work = dir
		whole = whole || filepath.Clean(p) == dir
	}
	if work == "" || whole {
		return work, nil
	}
	entries, err := os.ReadDir(work)
	if err != nil {
		return "", err
	}
	if len(entries) == 1 && entries[0].Name() == "0" && entries[0].IsDir() {
		return filepath.Join(work, "0"), nil
	}
	return work, nil
}

// workFolder is the work folder that a path is in. The outermost one counts: those below have names that
// an App has chosen.
func workFolder(path string) string {
	if !filepath.IsAbs(path) || strings.Contains(path, "=") {
		return ""
	}
	elements := strings.Split(filepath.Clean(path), string(filepath.Separator))
	i := slices.IndexFunc(elements, func(e string) bool { return strings.HasPrefix(e, workPrefix) })
	if i < 0 {
		return ""
	}
	return strings.Join(elements[:i+1], string(filepath.Separator))
}

// apart makes sure that a file isn't where the files of Apps are fetched to.
func apart(file, folder string) error {
	work := workFolder(folder)
	if work == "" {
		return nil
	}
	rel, err := filepath.Rel(filepath.Dir(work), file)
	if err != nil || !filepath.IsLocal(rel) {
		return nil
	}
	return fmt.Errorf("the hook's key %s lies where the files of Apps are fetched to: let %s name another place", file, KeyVariable)
}
