package sync

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/bmatcuk/doublestar"
)

// linkTree makes a second tree of the same files. Where the file system has no links, they are copied.
func linkTree(from, to string) error {
	return filepath.WalkDir(from, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}
		at := filepath.Join(to, name)
		switch {
		case e.IsDir():
			info, err := e.Info()
			if err != nil {
				return err
			}
			return os.Mkdir(at, info.Mode().Perm()|0o700)
		case e.Type() == fs.ModeSymlink:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			return os.Symlink(target, at)
		}
		if err := os.Link(p, at); err == nil || errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return copyFile(p, at)
	})
}

// copyFile copies a file, with its mode.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", from)
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// copyIgnored copies the files that match one of the patterns from an earlier tree into its successor.
func copyIgnored(earlier, to string, patterns []string) error {
	if len(patterns) == 0 {
		return nil
	}
	if _, err := os.Stat(earlier); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	root, err := os.OpenRoot(to)
	if err != nil {
		return err
	}
	defer root.Close()
	return filepath.WalkDir(earlier, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(earlier, p)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		ignored := slices.ContainsFunc(patterns, func(pattern string) bool {
			ok, _ := doublestar.Match(path.Clean(pattern), name)
			return ok
		})
		if !ignored || e.IsDir() {
			return nil
		}
		if err := root.MkdirAll(path.Dir(name), 0o700); err != nil {
			return err
		}
		// What the source has there gives way. The root sees to it that no link of the new tree leads elsewhere.
		if err := root.RemoveAll(name); err != nil {
			return err
		}
		if e.Type() == fs.ModeSymlink {
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			return root.Symlink(target, name)
		}
		return copyFile(p, filepath.Join(to, filepath.FromSlash(name)))
	})
}

// checkLinks makes sure that all links of a tree lead to something in it, once it is in its place. With partial,
// what is there already counts, too.
func checkLinks(tree, place string, partial bool) error {
	root, err := os.OpenRoot(tree)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.Type() != fs.ModeSymlink {
			return err
		}
		if _, err := root.Stat(name); err == nil {
			return nil
		}
		target, lerr := root.Readlink(name)
		if lerr != nil {
			return lerr
		}
		at := filepath.Join(place, filepath.FromSlash(name))
		if filepath.IsAbs(target) || !filepath.IsLocal(filepath.Join(filepath.Dir(filepath.FromSlash(name)), target)) {
			return fmt.Errorf("Invalid symlink found to outside parent directory: %q, which is a link to %s", at, target) //nolint:staticcheck // vendir's words
		}
		if partial && inside(place, filepath.Join(filepath.Dir(filepath.FromSlash(name)), target)) {
			return nil
		}
		return fmt.Errorf("Unable to resolve symlink: %s leads to %s, which isn't there", at, target) //nolint:staticcheck // vendir's words
	})
}

// inside tells whether there is something of that name in a folder, without leaving it.
func inside(dir, name string) bool {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return false
	}
	defer root.Close()
	_, err = root.Stat(name)
	return err == nil
}
