package artifact

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"strake.dev/strake/stages"
)

// mark is the file by which a folder that was written is known again; it holds the artifact's URL.
const mark = ".strake-artifact"

// Write writes the files of an artifact to a folder, all of them or none. The folder has to be new, empty,
// or one that Write has made.
func Write(ctx context.Context, a *Artifact, folder string) (err error) {
	folder, err = filepath.Abs(folder)
	if err != nil {
		return err
	}
	if err := writable(folder); err != nil {
		return err
	}
	const readable = 0o755
	if err := os.MkdirAll(filepath.Dir(folder), readable); err != nil {
		return err
	}
	staging, err := os.MkdirTemp(filepath.Dir(folder), "."+filepath.Base(folder)+"-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(staging)) }()
	fresh, old := filepath.Join(staging, "new"), filepath.Join(staging, "old")
	if err := os.Mkdir(fresh, readable); err != nil {
		return err
	}
	if err := fill(ctx, a, fresh); err != nil {
		return err
	}
	if err := os.Rename(folder, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(fresh, folder); err != nil {
		return errors.Join(err, os.Rename(old, folder))
	}
	return nil
}

// writable returns an error for a folder that holds something else.
func writable(folder string) error {
	entries, err := os.ReadDir(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(entries) == 0:
		return nil
	case err != nil:
		return err
	}
	if _, err := os.Lstat(filepath.Join(folder, mark)); err != nil {
		return stages.WithHint(fmt.Errorf("%s holds something else than a pulled artifact", folder), "name a new folder: what is there would be replaced")
	}
	return nil
}

func fill(ctx context.Context, a *Artifact, folder string) error {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close()
	const fileMode, dirMode = 0o644, 0o755
	for _, name := range a.Names() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if dir := path.Dir(name); dir != "." {
			if err := root.MkdirAll(dir, dirMode); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		if err := root.WriteFile(name, a.Files[name], fileMode); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return root.WriteFile(mark, []byte(URL(a.Ref)+"\n"), fileMode)
}
