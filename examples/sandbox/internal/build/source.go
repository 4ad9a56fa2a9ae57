package build

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// FindSource returns the folder that holds the component modules: dir if it isn't empty, else the
// one beside the code that this program was compiled from, else the one of a checkout that the
// working folder is in.
func FindSource(dir string) (string, error) {
	if dir != "" {
		if !isSource(dir) {
			return "", fmt.Errorf("no components/kube/go.mod below %s: name the folder examples/sandbox of a checkout", dir)
		}
		return filepath.Abs(filepath.Join(dir, "components"))
	}
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		if root := filepath.Join(filepath.Dir(file), "..", ".."); isSource(root) {
			return filepath.Join(root, "components"), nil
		}
	}
	// A program built with -trimpath doesn't know where it came from.
	at, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the working folder: %w", err)
	}
	for {
		for _, root := range []string{at, filepath.Join(at, "examples", "sandbox")} {
			if isSource(root) {
				return filepath.Join(root, "components"), nil
			}
		}
		up := filepath.Dir(at)
		if up == at {
			return "", errors.New("the sources of the sandbox's components are not found: run from a checkout, or name its folder examples/sandbox with --source")
		}
		at = up
	}
}

func isSource(root string) bool {
	_, err := os.Stat(filepath.Join(root, "components", "kube", "go.mod"))
	return err == nil
}
