package stages

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"strake.dev/strake/stages/filesum"
)

// A Tree is a folder that can't be left: no relative path, absolute path or symbolic link leads out
// of it. Paths are slash-separated and relative to it.
type Tree struct {
	// Sums, if not nil, are the digests of files that need not be read again. Names count from the tree.
	// Whoever sets it sees to it that it is saved.
	Sums *filesum.Cache
	// Overlay, if not nil, is seen through FS, and counted by Digest.
	Overlay *Overlay

	root *os.Root
	dir  string
}

// OpenTree opens an existing folder. The caller must call Close.
func OpenTree(dir string) (*Tree, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &Tree{root: root, dir: dir}, nil
}

// Close releases the folder.
func (t *Tree) Close() error { return t.root.Close() }

// Root gives the operations on the folder's files.
func (t *Tree) Root() *os.Root { return t.root }

// FS gives the folder's files to read, as a template step sees them: with what earlier steps have
// laid over them. Symbolic links are followed inside of the folder.
func (t *Tree) FS() fs.FS {
	if t.Overlay == nil {
		return t.root.FS()
	}
	return overlayFS{base: t.root.FS(), over: t.Overlay}
}

// Dir is the folder's path, for messages and for libraries that want one.
func (t *Tree) Dir() string { return t.dir }

// Path returns the path, on the file system, of an existing file or folder of the tree, for
// libraries that can't work through an [os.Root]. It fails when name leads out of the tree, also
// through a symbolic link.
func (t *Tree) Path(name string) (string, error) {
	clean, err := Clean(name)
	if err != nil {
		return "", err
	}
	if _, err := t.root.Stat(clean); err != nil {
		return "", t.explain(name, err)
	}
	return filepath.Join(t.dir, filepath.FromSlash(clean)), nil
}

func (t *Tree) explain(name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: no such file or folder", name)
	case strings.Contains(err.Error(), "escapes"):
		return fmt.Errorf("%s: leads out of the App's folder", name)
	}
	return err
}

// Clean checks that a path given in a configuration stays below where it counts from, and returns
// it slash-separated and without superfluous elements.
func Clean(name string) (string, error) {
	clean := path.Clean(filepath.ToSlash(name))
	if path.IsAbs(clean) || filepath.IsAbs(name) {
		return "", fmt.Errorf("%s: expected a path relative to the App's folder", name)
	}
	if clean == ".." || strings.HasPrefix(clean, "../") {
		return "", fmt.Errorf("%s: leads out of the App's folder", name)
	}
	return clean, nil
}

// Digest is the SHA-256, in hex, over the names, kinds, executable bits, link targets and contents of
// everything below the given paths; without paths, of the whole tree. Times and owners don't count.
// What t.Sums knows is not read.
func (t *Tree) Digest(ctx context.Context, paths ...string) (string, error) {
	if len(paths) == 0 {
		paths = []string{"."}
	}
	sum := sha256.New()
	for _, p := range paths {
		clean, err := Clean(p)
		if err != nil {
			return "", err
		}
		if t.addOverlay(sum, clean) {
			continue
		}
		top, err := filesum.Stat(ctx, t.root, clean, t.Sums)
		if err != nil {
			return "", t.explain(p, err)
		}
		err = addEntry(sum, clean, &top)
		if err == nil && top.Mode.IsDir() {
			err = t.addFolder(ctx, sum, clean)
		}
		if err != nil {
			return "", fmt.Errorf("digest of %s: %w", p, err)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// addOverlay adds what of the overlay is at or below a path. It tells whether that is all there is.
func (t *Tree) addOverlay(sum hash.Hash, at string) bool {
	if t.Overlay == nil {
		return false
	}
	for _, name := range slices.Sorted(maps.Keys(t.Overlay.Files)) {
		if name == at || at == "." || strings.HasPrefix(name, at+"/") {
			fmt.Fprintf(sum, "o %q %x\n", name, sha256.Sum256(t.Overlay.Files[name]))
		}
	}
	_, isFile := t.Overlay.Files[at]
	return isFile
}

func (t *Tree) addFolder(ctx context.Context, sum hash.Hash, dir string) error {
	entries, err := filesum.Scan(ctx, t.root, dir, t.Sums.Below(dir), filesum.All)
	if err != nil {
		return err
	}
	for i := range entries {
		if err := addEntry(sum, path.Join(dir, entries[i].Name), &entries[i]); err != nil {
			return err
		}
	}
	return nil
}

func addEntry(sum hash.Hash, name string, e *filesum.Entry) error {
	var line []byte
	switch {
	case e.Mode.IsDir():
		line = strconv.AppendQuote([]byte("d "), name)
	case e.Mode&fs.ModeSymlink != 0:
		line = strconv.AppendQuote([]byte("l "), name)
		line = strconv.AppendQuote(append(line, ' '), e.Link)
	case e.Mode.IsRegular():
		line = strconv.AppendQuote([]byte("f "), name)
		line = strconv.AppendBool(append(line, ' '), e.Executable())
		line = hex.AppendEncode(append(line, ' '), e.Sum[:])
	default:
		return fmt.Errorf("%s: neither a file, a folder nor a link", name)
	}
	sum.Write(append(line, '\n'))
	return nil
}

// CheckLinks makes sure that every symbolic link of the tree leads to a place inside it.
func (t *Tree) CheckLinks() error {
	return fs.WalkDir(t.root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.Type()&fs.ModeSymlink == 0 {
			return err
		}
		target, err := t.root.Readlink(name)
		if err != nil {
			return err
		}
		if path.IsAbs(target) || !filepath.IsLocal(path.Join(path.Dir(name), target)) {
			return fmt.Errorf("%s: symbolic link to %s leads out of its folder", name, target)
		}
		// A chain of links can leave through another link although each text looks harmless.
		if _, err := t.root.Stat(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: symbolic link to %s leads out of its folder", name, target)
		}
		return nil
	})
}

// List returns the names of all regular files below a path, sorted.
func (t *Tree) List(name string) ([]string, error) {
	clean, err := Clean(name)
	if err != nil {
		return nil, err
	}
	var names []string
	err = fs.WalkDir(t.root.FS(), clean, func(name string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			names = append(names, name)
		}
		return err
	})
	slices.Sort(names)
	return names, err
}
