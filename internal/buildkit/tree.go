package buildkit

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"

	"strake.dev/strake/stages"
	"strake.dev/strake/stages/filesum"
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
	entries []filesum.Entry
	open    func(name string) (io.ReadCloser, error)
}

// readTree takes a snapshot of what the patterns of a .dockerignore leave of a folder in root. What is
// neither file, folder nor link is left out. sums, which may be nil, are those of the folder.
func readTree(ctx context.Context, root *os.Root, dir string, ignore []string, sums *filesum.Cache) (*tree, error) {
	filter, err := ignoreFilter(ignore)
	if err != nil {
		return nil, err
	}
	entries, err := filesum.Scan(ctx, root, dir, sums, filter)
	if err != nil {
		return nil, err
	}
	for i := range entries {
		if name := entries[i].Name; !utf8.ValidString(name) {
			return nil, stages.WithHint(fmt.Errorf("%q: the name is not UTF-8 text", name), "leave it out with .dockerignore")
		}
	}
	kept := slices.DeleteFunc(entries, func(e filesum.Entry) bool {
		return !e.Mode.IsDir() && !e.Mode.IsRegular() && e.Mode&fs.ModeSymlink == 0
	})
	return &tree{entries: kept}, nil
}

// statOf is what the daemon gets to see of an entry. Hard links become files of their own.
func statOf(e *filesum.Entry) *types.Stat {
	stat := &types.Stat{Path: e.Name, ModTime: fixedTime * 1e9}
	switch {
	case e.Mode.IsDir():
		stat.Mode = uint32(fs.ModeDir | modeExecutable)
	case e.Mode&fs.ModeSymlink != 0:
		stat.Mode, stat.Linkname = uint32(fs.ModeSymlink|fs.ModePerm), e.Link
	default:
		stat.Mode, stat.Size = uint32(keptMode(e)), e.Size
		// The digest is the fraction of a second of the file's time: the daemon takes a file of equal size
		// and time for one that it already has, and must not do so when the content changed.
		stat.ModTime += int64(binary.BigEndian.Uint32(e.Sum[:]) % 1e9)
	}
	return stat
}

// keptMode is what is kept of a file's mode.
func keptMode(e *filesum.Entry) fs.FileMode {
	if e.Executable() {
		return modeExecutable
	}
	return modeFile
}

// memoryTree is a tree of files that are given by their contents, in order.
func memoryTree(names []string, contents map[string][]byte) *tree {
	t := &tree{open: func(name string) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(contents[name])), nil
	}}
	for _, name := range names {
		t.entries = append(t.entries, filesum.Entry{
			Name: name, Mode: modeFile, Size: int64(len(contents[name])), Sum: sha256.Sum256(contents[name]),
		})
	}
	return t
}

// Walk calls fn for target and everything below it; an empty target is the whole tree.
func (t *tree) Walk(ctx context.Context, target string, fn fs.WalkDirFunc) error {
	target = strings.Trim(path.Clean("/"+filepath.ToSlash(target)), "/")
	skip := ""
	for i := range t.entries {
		e := &t.entries[i]
		name := e.Name
		if target != "" && name != target && !strings.HasPrefix(name, target+"/") || skip != "" && strings.HasPrefix(name, skip) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		err := fn(filepath.FromSlash(name), &fsutil.DirEntryInfo{Stat: statOf(e)}, nil)
		switch {
		case err == nil:
		case errors.Is(err, fs.SkipAll):
			return nil
		case !errors.Is(err, fs.SkipDir):
			return err
		case e.Mode.IsDir():
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
	i, ok := slices.BinarySearchFunc(t.entries, name, func(e filesum.Entry, name string) int { return comparePaths(e.Name, name) })
	if !ok || !t.entries[i].Mode.IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return t.open(name)
}

// comparePaths orders paths as a walk does: what is in a folder comes before its later siblings.
func comparePaths(a, b string) int {
	for i := range min(len(a), len(b)) {
		switch {
		case a[i] == b[i]:
		case a[i] == '/':
			return -1
		case b[i] == '/':
			return 1
		default:
			return cmp.Compare(a[i], b[i])
		}
	}
	return cmp.Compare(len(a), len(b))
}

// digest is over names, kinds, executable bits, link targets and contents.
func (t *tree) digest() string {
	sum := sha256.New()
	var line []byte
	for i := range t.entries {
		e := &t.entries[i]
		switch {
		case e.Mode.IsDir():
			line = strconv.AppendQuote(append(line[:0], "d "...), e.Name)
		case e.Mode&fs.ModeSymlink != 0:
			line = strconv.AppendQuote(append(line[:0], "l "...), e.Name)
			line = strconv.AppendQuote(append(line, ' '), e.Link)
		default:
			line = strconv.AppendQuote(append(line[:0], "f "...), e.Name)
			line = strconv.AppendUint(append(line, ' '), uint64(keptMode(e)), 8)
			line = hex.AppendEncode(append(line, ' '), e.Sum[:])
		}
		line = append(line, '\n')
		sum.Write(line)
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
