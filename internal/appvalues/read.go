package appvalues

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"

	"go.yaml.in/yaml/v3"

	"strake.dev/strake/stages"
)

// ReadsStream tells whether one of the sources is the manifests so far.
func ReadsStream(sources []Source) bool {
	return slices.ContainsFunc(sources, func(s Source) bool { return s.Path == Stream })
}

// Read returns the values of all sources, in order, for tools that read files and not folders. The
// manifests so far are a file too.
func (l *Lookup) Read(ctx context.Context, sources []Source) ([]File, error) {
	var all []File
	for i := range sources {
		s := &sources[i]
		if s.Path == "" {
			found, err := l.Files(ctx, s)
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
			continue
		}
		f, err := l.path(s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", Place(s.node), err)
		}
		all = append(all, f)
	}
	return all, nil
}

func (l *Lookup) path(s *Source) (File, error) {
	if s.Path == Stream {
		if l.job.Manifests == nil {
			return File{}, errors.New("there are no manifests yet: “-” stands for what an earlier template step made")
		}
		return File{Name: "the manifests so far", Base: "stdin.yml", Data: l.job.Manifests}, nil
	}
	clean, err := stages.Clean(s.Path)
	if err != nil {
		return File{}, err
	}
	info, err := fs.Stat(l.job.Sources.FS(), clean)
	if err != nil {
		// Path has the messages for what isn't there and for what leads out of the tree.
		if _, explained := l.job.Sources.Path(clean); explained != nil {
			err = explained
		}
		return File{}, stages.WithHint(err, "paths count from the App's folder")
	}
	if info.IsDir() {
		return File{}, stages.WithHint(fmt.Errorf("%s: is a folder, expected a file with values", clean), "give each file an entry of its own")
	}
	data, err := fs.ReadFile(l.job.Sources.FS(), clean)
	return File{Name: clean, Base: path.Base(clean), Data: data}, err
}

// Set returns the values of --set as a mapping: dots in keys lead into mappings, values are YAML.
func Set(values map[string]string) (map[string]any, error) {
	set := map[string]any{}
	// Sorted, a mapping comes before the values below it.
	for _, key := range slices.Sorted(maps.Keys(values)) {
		var value any
		if err := yaml.Unmarshal([]byte(values[key]), &value); err != nil {
			return nil, stages.WithHint(fmt.Errorf("--set %s: %w", key, err),
				"--set takes YAML: put text with special characters in quotes, as in --set 'key=\"a: b\"'")
		}
		parts := splitName(key)
		in := set
		for _, part := range parts[:len(parts)-1] {
			below, ok := in[part].(map[string]any)
			if !ok {
				below = map[string]any{}
				in[part] = below
			}
			in = below
		}
		in[parts[len(parts)-1]] = value
	}
	return set, nil
}
