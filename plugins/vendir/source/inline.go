package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

type inlineSource struct{ Inline }

func (s *inlineSource) Kind() string                     { return "inline" }
func (s *inlineSource) Stale(schema.LockedSource) string { return "" }

func (s *inlineSource) Check(ctx context.Context, job *stages.Job) error {
	_, err := s.files(ctx, job)
	return err
}

// files collects the content by path. Where two have one path, the later one wins.
func (s *inlineSource) files(ctx context.Context, job *stages.Job) (map[string][]byte, error) {
	files := map[string][]byte{}
	add := func(name string, content []byte) error {
		clean, err := stages.Clean(name)
		if err != nil || clean == "." {
			return fmt.Errorf("%s: expected the path of a file, relative and without “..”", name)
		}
		files[clean] = content
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(s.Paths)) {
		if err := add(name, []byte(s.Paths[name])); err != nil {
			return nil, err
		}
	}
	for i, from := range s.PathsFrom {
		field, kind, ref, get := "secretRef", "Secret", from.SecretRef, job.Objects.Secret
		if ref == nil {
			field, kind, ref, get = "configMapRef", "ConfigMap", from.ConfigMapRef, job.Objects.ConfigMap
		}
		field = fmt.Sprintf("pathsFrom[%d].%s", i, field)
		data, err := get(ctx, ref.Name)
		if err != nil {
			return nil, missing(field, kind, ref.Name, err)
		}
		for _, key := range slices.Sorted(maps.Keys(data)) {
			if err := add(path.Join(folderOf(ref.DirectoryPath), key), data[key]); err != nil {
				return nil, fmt.Errorf("%s: %s %s: %w", field, kind, ref.Name, err)
			}
		}
	}
	if len(files) == 0 {
		return nil, errors.New("the inline source holds no files")
	}
	return files, nil
}

func (s *inlineSource) Key(ctx context.Context, job *stages.Job, _ *schema.LockedSource) (string, error) {
	files, err := s.files(ctx, job)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(sum, "%q %x\n", name, sha256.Sum256(files[name]))
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func (s *inlineSource) Fetch(ctx context.Context, job *stages.Job, _ *schema.LockedSource, a *Area) (schema.LockedSource, error) {
	files, err := s.files(ctx, job)
	if err != nil {
		return schema.LockedSource{}, err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := a.tree.MkdirAll(path.Dir(name), 0o755); err != nil {
			return schema.LockedSource{}, fmt.Errorf("%s: a file is in the way of its folder", name)
		}
		// The content may come from a Secret.
		if err := a.tree.WriteFile(name, files[name], 0o600); err != nil {
			return schema.LockedSource{}, fmt.Errorf("%s: can't be written: is it also a folder?", name)
		}
	}
	stages.Log(job.Events, fmt.Sprintf("inline: %d files", len(files)))
	return schema.LockedSource{LockDirectoryContents: vendirconf.LockDirectoryContents{Inline: &vendirconf.LockDirectoryContentsInline{}}}, nil
}

// Origin is empty: the content is from the App itself.
func (s *inlineSource) Origin(schema.LockedSource) stages.Origin { return stages.Origin{} }
