package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"
	"golang.org/x/sync/errgroup"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/filesum"
)

type directorySource struct {
	Directory
	f *Fetcher
}

func (s *directorySource) Kind() string                     { return "directory" }
func (s *directorySource) Stale(schema.LockedSource) string { return "" }

// dir is the folder's path.
func (s *directorySource) dir(job *stages.Job) string {
	if filepath.IsAbs(s.Path) {
		return filepath.Clean(s.Path)
	}
	return filepath.Join(job.Dir, filepath.FromSlash(s.Path))
}

func (s *directorySource) Check(_ context.Context, job *stages.Job) error {
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

func (s *directorySource) Key(ctx context.Context, job *stages.Job, _ *schema.LockedSource) (string, error) {
	w, err := s.walker(job)
	if err != nil {
		return "", err
	}
	defer w.root.Close()
	sums := sumsOf(job, w.dir)
	digest, err := w.digest(ctx, sums)
	// Without them the next run is only slower.
	_ = sums.Save()
	return digest, err
}

// sumsOf returns the digests that the App's cache has of a folder's files.
func sumsOf(job *stages.Job, dir string) *filesum.Cache {
	if job.Cache == "" {
		return nil
	}
	name := sha256.Sum256([]byte(dir))
	return filesum.Open(filepath.Join(job.Cache, "directory", hex.EncodeToString(name[:16])+".sums"))
}

func (s *directorySource) Fetch(ctx context.Context, job *stages.Job, _ *schema.LockedSource, a *Area) (schema.LockedSource, error) {
	w, err := s.walker(job)
	if err != nil {
		return schema.LockedSource{}, err
	}
	defer w.root.Close()
	entries, err := w.list(ctx)
	if err == nil {
		err = copyAll(ctx, w.root, a.tree, entries, s.f.deps.AnyLinks)
	}
	if err != nil {
		return schema.LockedSource{}, fmt.Errorf("directory %s: %w", s.Path, err)
	}
	stages.Log(job.Events, fmt.Sprintf("directory %s: %d files", s.Path, len(entries)))
	return schema.LockedSource{LockDirectoryContents: vendirconf.LockDirectoryContents{Directory: &vendirconf.LockDirectoryContentsDirectory{}}}, nil
}

// copyAll copies files and links, several at a time.
func copyAll(ctx context.Context, from, to *os.Root, entries []filesum.Entry, anyLinks bool) error {
	made := map[string]bool{".": true}
	for i := range entries {
		if dir := path.Dir(entries[i].Name); !made[dir] {
			if err := to.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			made[dir] = true
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2 * runtime.GOMAXPROCS(0)) // some wait for the disk
	const piece = 64                      // files
	for part := range slices.Chunk(entries, piece) {
		g.Go(func() error {
			for i := range part {
				if err := copyEntry(ctx, from, to, &part[i], anyLinks); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// copyEntry copies one file or link.
func copyEntry(ctx context.Context, from, to *os.Root, e *filesum.Entry, anyLinks bool) error {
	if e.Mode.Type() == fs.ModeSymlink {
		if anyLinks {
			return to.Symlink(e.Link, e.Name)
		}
		if filepath.IsAbs(e.Link) || !filepath.IsLocal(filepath.Join(filepath.Dir(e.Name), e.Link)) {
			return stages.WithHint(fmt.Errorf("%s: symbolic link to %s leads out of the folder", e.Name, e.Link), "leave it out with excludePaths")
		}
		return to.Symlink(e.Link, e.Name)
	}
	perm := fs.FileMode(0o644)
	if e.Executable() {
		perm = 0o755
	}
	in, err := from.Open(e.Name)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := to.OpenFile(e.Name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
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

func (s *directorySource) Origin(schema.LockedSource) stages.Origin {
	return stages.Origin{Source: s.Path}
}
