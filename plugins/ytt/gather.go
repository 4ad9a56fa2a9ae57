package ytt

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"strake.dev/strake/internal/appvalues"
	"strake.dev/strake/stages"
)

// stdinFile is the name that ytt gives to its standard input.
const stdinFile = "stdin.yml"

var errNoManifests = errors.New("there are no manifests yet: “-” stands for what an earlier template step made")

// gather reads everything that a rendering depends on, except the contents of files that ytt may
// not want.
func gather(ctx context.Context, c *Config, job *stages.Job, l *appvalues.Lookup) (Input, error) {
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
func gatherInline(ctx context.Context, inline *Inline, l *appvalues.Lookup) ([]File, error) {
	if inline == nil {
		return nil, nil
	}
	contents := map[string][]byte{}
	for name, text := range inline.Paths {
		contents[path.Clean(name)] = []byte(text)
	}
	for i := range inline.PathsFrom {
		r, dir := inline.PathsFrom[i].ref()
		data, err := l.Object(ctx, r)
		if err != nil {
			return nil, err
		}
		for key, value := range data {
			name, err := stages.Clean(path.Join(dir, key))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", appvalues.Place(r.Node), err)
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

func gatherValues(ctx context.Context, s *appvalues.Source, job *stages.Job, l *appvalues.Lookup) ([]ValuesFile, error) {
	if s.Path == "" {
		given, err := l.Files(ctx, s)
		if err != nil {
			return nil, err
		}
		var all []ValuesFile
		for _, f := range given {
			all = append(all, ValuesFile{Name: f.Name, Files: []File{Bytes(f.Name, f.Name, f.Data)}})
		}
		return all, nil
	}
	found, err := gatherPath(ctx, s.Path, job)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", appvalues.Place(s.Node()), err)
	}
	name := s.Path
	if strings.HasPrefix(name, "@") {
		// ytt would take the name for that of a library.
		name = "./" + name
	}
	return []ValuesFile{{Name: name, Files: found}}, nil
}
