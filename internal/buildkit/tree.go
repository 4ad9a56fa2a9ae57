package buildkit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
	"golang.org/x/sync/errgroup"
)

// Files are sent to the daemon as git keeps them: of a file's mode only whether it is executable,
// and no time. So the image doesn't depend on umask, owner or on when a checkout was made.
const (
	modeFile       = 0o644
	modeExecutable = 0o755
)

// fixedTime, the first day that a zip archive can hold, is the time of all files, in seconds.
const fixedTime = 315532800

// A tree is a snapshot of a folder's names, kinds and digests, in the order in which a walk meets
// them. It is what the daemon sees of the folder ([fsutil.FS]).
type tree struct {
	entries []entry
	// files are the names of the regular files.
	files map[string]bool
	open  func(name string) (io.ReadCloser, error)
}

type entry struct {
	stat *types.Stat
	sum  [sha256.Size]byte
}

func (e entry) mode() fs.FileMode { return fs.FileMode(e.stat.Mode) }

// readTree takes a snapshot of what the patterns of a .dockerignore leave of root. What is neither
// file, folder nor link is left out.
func readTree(ctx context.Context, root *os.Root, ignore []string) (*tree, error) {
	// The library's own filter decides, as it does in the daemon.
	filtered, err := fsutil.NewFilterFS(fsutil.NewRootFS(fsutil.NewRoot(root)), &fsutil.FilterOpt{ExcludePatterns: ignore})
	if err != nil {
		return nil, fmt.Errorf(".dockerignore: %w", err)
	}
	t := &tree{files: map[string]bool{}}
	err = filtered.Walk(ctx, "", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if stat := asKept(filepath.ToSlash(name), info); stat != nil {
			t.add(entry{stat: stat})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return t, t.hash(ctx, root)
}

func (t *tree) add(e entry) {
	t.entries = append(t.entries, e)
	if e.mode().IsRegular() {
		t.files[e.stat.Path] = true
	}
}

// asKept returns what the daemon gets to see of a file, or nil for a device, socket or pipe. Hard
// links become files of their own.
func asKept(name string, info fs.FileInfo) *types.Stat {
	stat := &types.Stat{Path: name, ModTime: fixedTime * 1e9}
	switch mode := info.Mode(); {
	case mode.IsDir():
		stat.Mode = uint32(fs.ModeDir | modeExecutable)
	case mode&fs.ModeSymlink != 0:
		stat.Mode = uint32(fs.ModeSymlink | fs.ModePerm)
		if s, ok := info.Sys().(*types.Stat); ok {
			stat.Linkname = s.Linkname
		}
	case mode.IsRegular():
		stat.Mode, stat.Size = modeFile, info.Size()
		if mode&0o100 != 0 {
			stat.Mode = modeExecutable
		}
	default:
		return nil
	}
	return stat
}

// hash digests the contents of all files.
func (t *tree) hash(ctx context.Context, root *os.Root) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range t.entries {
		e := &t.entries[i]
		if !e.mode().IsRegular() {
			continue
		}
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return e.hash(ctx, root)
		})
	}
	return g.Wait()
}

func (e *entry) hash(ctx context.Context, root *os.Root) error {
	f, err := root.Open(e.stat.Path)
	if err != nil {
		return readError(e.stat.Path, err)
	}
	defer f.Close()
	sum := sha256.New()
	if e.stat.Size, err = io.Copy(sum, ctxReader{ctx, f}); err != nil {
		return fmt.Errorf("%s: %w", e.stat.Path, err)
	}
	e.setSum(sum.Sum(nil))
	return nil
}

// setSum keeps the digest, also as the fraction of a second of the file's time: the daemon takes a
// file of equal size and time for one that it already has, and must not do so when the content
// changed.
func (e *entry) setSum(sum []byte) {
	copy(e.sum[:], sum)
	e.stat.ModTime = fixedTime*1e9 + int64(binary.BigEndian.Uint32(sum)%1e9)
}

// memoryTree is a tree of files that are given by their contents, in order.
func memoryTree(names []string, contents map[string][]byte) *tree {
	t := &tree{files: map[string]bool{}, open: func(name string) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(contents[name])), nil
	}}
	for _, name := range names {
		e := entry{stat: &types.Stat{Path: name, Mode: modeFile, Size: int64(len(contents[name]))}}
		sum := sha256.Sum256(contents[name])
		e.setSum(sum[:])
		t.add(e)
	}
	return t
}

// Walk calls fn for target and everything below it; an empty target is the whole tree.
func (t *tree) Walk(ctx context.Context, target string, fn fs.WalkDirFunc) error {
	target = strings.Trim(path.Clean("/"+filepath.ToSlash(target)), "/")
	skip := ""
	for _, e := range t.entries {
		name := e.stat.Path
		if target != "" && name != target && !strings.HasPrefix(name, target+"/") || skip != "" && strings.HasPrefix(name, skip) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		err := fn(filepath.FromSlash(name), &fsutil.DirEntryInfo{Stat: e.stat.Clone()}, nil)
		switch {
		case err == nil:
		case errors.Is(err, fs.SkipAll):
			return nil
		case !errors.Is(err, fs.SkipDir):
			return err
		case e.mode().IsDir():
			skip = name + "/"
		case path.Dir(name) == ".":
			return nil
		default:
			skip = path.Dir(name) + "/"
		}
	}
	return nil
}

// Open opens a file of the tree; one that was left out isn't there.
func (t *tree) Open(name string) (io.ReadCloser, error) {
	name = filepath.ToSlash(name)
	if !t.files[name] {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return t.open(name)
}

// digest is over names, kinds, executable bits, link targets and contents.
func (t *tree) digest() string {
	sum := sha256.New()
	for _, e := range t.entries {
		switch mode := e.mode(); {
		case mode.IsDir():
			fmt.Fprintf(sum, "d %q\n", e.stat.Path)
		case mode&fs.ModeSymlink != 0:
			fmt.Fprintf(sum, "l %q %q\n", e.stat.Path, e.stat.Linkname)
		default:
			fmt.Fprintf(sum, "f %q %o %x\n", e.stat.Path, mode.Perm(), e.sum)
		}
	}
	return hexSum(sum)
}

// A ctxReader ends when its context does.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (r ctxReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
