package extension

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"strake.dev/strake/internal/confine"
)

// A Found is an executable on PATH that is a plugin by its name.
type Found struct {
	// Name is what steps call it.
	Name string `json:"name"`
	Path string `json:"path"`
	// Digest is that of its content, in the form sha256:…; empty if it can't be read.
	Digest string `json:"digest,omitempty"`
	// Allowed tells whether steps may run it.
	Allowed bool `json:"allowed"`
	// Error says why it can't be read.
	Error string `json:"error,omitempty"`
}

// Find lists the plugins on PATH by their names. It runs none of them.
func (h *Host) Find() []Found {
	var all []Found
	for _, folder := range filepath.SplitList(os.Getenv("PATH")) {
		if !filepath.IsAbs(folder) {
			continue
		}
		entries, err := os.ReadDir(folder)
		if err != nil {
			continue // folders on PATH need not be there
		}
		for _, e := range entries {
			name, ok := strings.CutPrefix(e.Name(), Prefix)
			if !ok || !pluginName.MatchString(name) || slices.ContainsFunc(all, func(f Found) bool { return f.Name == name }) {
				continue
			}
			ref := Ref{Plugin: name}
			// One that isn't executable is none, and may stand before one that is.
			if path, err := ref.Locate(""); err == nil {
				all = append(all, h.describe(ref, path))
			}
		}
	}
	slices.SortFunc(all, func(a, b Found) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (h *Host) describe(r Ref, path string) Found {
	f := Found{Name: r.Plugin, Path: path, Allowed: h.Allow(r, "") == nil}
	p, err := confine.Open(path)
	if err == nil {
		f.Digest, err = p.Digest, p.Close()
	}
	if err != nil {
		f.Error = err.Error()
	}
	return f
}
