package vendir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

type directorySource struct{ Directory }

func (s *directorySource) kind() string                     { return "directory" }
func (s *directorySource) subPath() string                  { return "" }
func (s *directorySource) stale(schema.LockedSource) string { return "" }

// dir is the folder's path.
func (s *directorySource) dir(job *stages.Job) string {
	if filepath.IsAbs(s.Path) {
		return filepath.Clean(s.Path)
	}
	return filepath.Join(job.Dir, filepath.FromSlash(s.Path))
}

func (s *directorySource) check(_ context.Context, job *stages.Job) error {
	info, err := os.Stat(s.dir(job))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return stages.WithHint(fmt.Errorf("directory %s: no such folder", s.Path), "paths count from the folder of the App's file, %s", job.Dir)
	case err != nil:
		return fmt.Errorf("directory %s: %w", s.Path, err)
	case !info.IsDir():
		return stages.WithHint(fmt.Errorf("directory %s: is a file, expected a folder", s.Path), "name its folder, and the file in includePaths")
	}
	return nil
}

func (s *directorySource) key(ctx context.Context, job *stages.Job, _ *schema.LockedSource) (string, error) {
	w, err := s.walker(job)
	if err != nil {
		return "", err
	}
	defer w.root.Close()
	return w.digest(ctx)
}

func (s *directorySource) fetch(ctx context.Context, job *stages.Job, _ *schema.LockedSource, a *area) (schema.LockedSource, error) {
	w, err := s.walker(job)
	if err != nil {
		return schema.LockedSource{}, err
	}
	defer w.root.Close()
	n := 0
	err = w.walk(ctx, func(name string, info fs.FileInfo) error {
		n++
		return s.copy(ctx, w.root, a.tree, name, info)
	})
	if err != nil {
		return schema.LockedSource{}, fmt.Errorf("directory %s: %w", s.Path, err)
	}
	stages.Log(job.Events, fmt.Sprintf("directory %s: %d files", s.Path, n))
	return schema.LockedSource{Directory: &vendirconf.LockDirectoryContentsDirectory{}}, nil
}

// copy copies one file or link.
func (s *directorySource) copy(ctx context.Context, from, to *os.Root, name string, info fs.FileInfo) error {
	if dir := path.Dir(name); dir != "." {
		if err := to.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := from.Readlink(name)
		if err != nil {
			return err
		}
		if filepath.IsAbs(target) || !filepath.IsLocal(filepath.Join(filepath.Dir(name), target)) {
			return stages.WithHint(fmt.Errorf("%s: symbolic link to %s leads out of the folder", name, target), "leave it out with excludePaths")
		}
		return to.Symlink(target, name)
	}
	perm := fs.FileMode(0o644)
	if info.Mode()&0o100 != 0 {
		perm = 0o755
	}
	in, err := from.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := to.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	err = copyContent(ctx, out, in)
	return errors.Join(err, out.Close())
}

// copyContent copies in pieces, so that it ends with the context. From file to file, the kernel
// shares the blocks where the file system can.
func copyContent(ctx context.Context, out io.Writer, in io.Reader) error {
	const piece = 64 << 20 // bytes
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if n, err := io.CopyN(out, in, piece); err != nil || n < piece {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}
