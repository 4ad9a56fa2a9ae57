package stages

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A Tree is a folder that can't be left: no relative path, absolute path or symbolic link leads out
// of it. Paths are slash-separated and relative to it.
type Tree struct {
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
func (t *Tree) Digest(paths ...string) (string, error) {
	if len(paths) == 0 {
		paths = []string{"."}
	}
	sum := sha256.New()
	for _, p := range paths {
		clean, err := Clean(p)
		if err != nil {
			return "", err
		}
		if _, err := t.root.Lstat(clean); err != nil {
			return "", t.explain(p, err)
		}
		err = fs.WalkDir(t.root.FS(), clean, func(name string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return t.hashEntry(sum, name, e)
		})
		if err != nil {
			return "", fmt.Errorf("digest of %s: %w", p, err)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func (t *Tree) hashEntry(sum io.Writer, name string, e fs.DirEntry) error {
	switch {
	case e.IsDir():
		fmt.Fprintf(sum, "d %q\n", name)
		return nil
	case e.Type()&fs.ModeSymlink != 0:
		target, err := t.root.Readlink(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "l %q %q\n", name, target)
		return nil
	case !e.Type().IsRegular():
		return fmt.Errorf("%s: neither a file, a folder nor a link", name)
	}
	info, err := e.Info()
	if err != nil {
		return err
	}
	f, err := t.root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	content := sha256.New()
	if _, err := io.Copy(content, f); err != nil {
		return err
	}
	fmt.Fprintf(sum, "f %q %t %x\n", name, info.Mode()&0o100 != 0, content.Sum(nil))
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
