package artifact

import (
	"context"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/filesys"

	"strake.dev/strake/internal/content"
	"strake.dev/strake/internal/kustomization"
)

// Manifests are the manifests of an artifact: those of the kustomization at its top if it has one, which
// Flux' may, else all of its YAML files.
func (a *Artifact) Manifests(ctx context.Context, warn func(string)) ([]content.Stream, error) {
	if text, ok := a.Files[contentFile]; ok && len(a.Files) == 1 {
		return []content.Stream{{Name: a.URL, Text: text}}, nil
	}
	names := a.Names()
	if _, ok := a.Files["kustomization.yaml"]; ok {
		files := filesys.MakeFsInMemory()
		for _, name := range names {
			if err := files.WriteFile(name, a.Files[name]); err != nil {
				return nil, err
			}
		}
		text, err := kustomization.Build(ctx, files, ".", warn)
		return []content.Stream{{Name: a.URL + "/kustomization.yaml", Text: text}}, err
	}
	var all []content.Stream
	for _, name := range names {
		hidden := strings.HasPrefix(name, ".") || strings.Contains(name, "/.")
		if ext := path.Ext(name); !hidden && (ext == ".yaml" || ext == ".yml") {
			all = append(all, content.Stream{Name: a.URL + "/" + name, Text: a.Files[name]})
		}
	}
	return all, nil
}

// Names are the paths of the files, sorted.
func (a *Artifact) Names() []string {
	names := make([]string, 0, len(a.Files))
	for name := range a.Files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
