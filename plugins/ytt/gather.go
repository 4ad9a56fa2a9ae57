package ytt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// stdinFile is the name that ytt gives to its standard input.
const stdinFile = "stdin.yml"

var errNoManifests = errors.New("there are no manifests yet: “-” stands for what an earlier template step made")

// gather reads everything that a rendering depends on, except the contents of files that ytt may
// not want.
func gather(ctx context.Context, c *Config, job *stages.Job, l *lookup) (Input, error) {
	in := Input{
		FileMarks:             c.FileMarks,
		IgnoreUnknownComments: c.IgnoreUnknownComments,
		Strict:                c.Strict,
		Set:                   job.Values,
	}
	var err error
	if in.Files, err = gatherPaths(ctx, c, job); err != nil {
		return Input{}, err
	}
	inline, err := gatherInline(ctx, c.Inline, l)
	if err != nil {
		return Input{}, err
	}
	in.Files = append(in.Files, inline...)
	for i := range c.ValuesFrom {
		values, err := gatherValues(ctx, &c.ValuesFrom[i], job, l)
		if err != nil {
			return Input{}, err
		}
		in.Values = append(in.Values, values...)
	}
	return in, nil
}

// effectivePaths are the paths that are read: what is given, else the manifests so far, else all.
func effectivePaths(c *Config, job *stages.Job) []string {
	switch {
	case len(c.Paths) > 0:
		return c.Paths
	case job.Manifests != nil:
		return []string{stdin}
	default:
		return []string{"."}
	}
}

func gatherPaths(ctx context.Context, c *Config, job *stages.Job) ([]File, error) {
	var all []File
	for _, p := range effectivePaths(c, job) {
		found, err := gatherPath(ctx, p, job)
		if err != nil {
			return nil, fmt.Errorf("paths: %w", err)
		}
		all = append(all, found...)
	}
	return all, nil
}

func gatherPath(ctx context.Context, p string, job *stages.Job) ([]File, error) {
	if p != stdin {
		return Files(ctx, job.Sources, p)
	}
	if job.Manifests == nil {
		return nil, errNoManifests
	}
	return []File{Bytes(stdinFile, stdinFile, job.Manifests)}, nil
}

// gatherInline returns the inline files in the order that ytt gives to the files of a folder.
func gatherInline(ctx context.Context, inline *Inline, l *lookup) ([]File, error) {
	if inline == nil {
		return nil, nil
	}
	contents := map[string][]byte{}
	for name, text := range inline.Paths {
		contents[path.Clean(name)] = []byte(text)
	}
	for i := range inline.PathsFrom {
		r, dir := inline.PathsFrom[i].ref()
		data, err := l.data(ctx, r)
		if err != nil {
			return nil, err
		}
		for key, value := range data {
			name, err := stages.Clean(path.Join(dir, key))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", place(r.node), err)
			}
			contents[name] = value
		}
	}
	var found []File
	for _, name := range slices.Sorted(maps.Keys(contents)) {
		found = append(found, Bytes(name, "inline file "+name, contents[name]))
	}
	return found, nil
}

func gatherValues(ctx context.Context, s *ValuesSource, job *stages.Job, l *lookup) ([]ValuesFile, error) {
	if r, ok := s.ref(); ok {
		data, err := l.data(ctx, r)
		if err != nil {
			return nil, err
		}
		var all []ValuesFile
		for _, key := range slices.Sorted(maps.Keys(data)) {
			// No slash may be in the name: ytt would take the file for one of a folder.
			name := fmt.Sprintf("%s %s, %s", r.kind, r.name, key)
			all = append(all, ValuesFile{Name: name, Files: []File{Bytes(name, name, data[key])}})
		}
		return all, nil
	}
	if s.DownwardAPI != nil {
		return downward(s.DownwardAPI, job.App, s.node)
	}
	found, err := gatherPath(ctx, s.Path, job)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", place(s.node), err)
	}
	name := s.Path
	if strings.HasPrefix(name, "@") {
		// ytt would take the name for that of a library.
		name = "./" + name
	}
	return []ValuesFile{{Name: name, Files: found}}, nil
}

// downward returns one file of values for each item.
func downward(d *DownwardAPI, app stages.App, node *schema.Node) ([]ValuesFile, error) {
	var all []ValuesFile
	for i := range d.Items {
		item := &d.Items[i]
		value, err := item.value(app)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", place(node), item.Name, err)
		}
		parts := splitName(item.Name)
		for _, part := range slices.Backward(parts) {
			value = map[string]any{part: value}
		}
		// JSON is YAML in which no string looks like a number.
		content, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf("downwardAPI %d, %s", i, item.Name)
		all = append(all, ValuesFile{Name: name, Files: []File{Bytes(name, name, content)}})
	}
	return all, nil
}

func (i *DownwardItem) value(app stages.App) (any, error) {
	switch {
	case i.KubernetesVersion != nil:
		return i.KubernetesVersion.Version, nil
	case i.KappControllerVersion != nil:
		return i.KappControllerVersion.Version, nil
	case i.KubernetesAPIs != nil:
		return i.KubernetesAPIs.GroupVersions, nil
	}
	return i.field.of(app)
}
