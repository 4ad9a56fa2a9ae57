package source

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"strake.dev/strake/stages"
)

// An Area is where a source is put together before it becomes somebody's result: below the folder that the
// result is for, so that it is moved there and not copied.
type Area struct {
	// Date is the time of the commit that the content is from; zero if it is from none.
	Date time.Time

	// parent is the folder that the area is made in, and dir its path.
	parent *os.Root
	dir    string
	// name is the area's folder in the parent.
	name string
	// tree is the folder for the content.
	tree *os.Root
}

const treeName = "tree"

// NewArea makes an area in a folder whose path is dir. The caller must close it.
func NewArea(parent *os.Root, dir string) (*Area, error) {
	a := &Area{parent: parent, dir: dir, name: ".strake-fetch-" + strings.ToLower(rand.Text()[:10])}
	if err := parent.Mkdir(a.name, 0o700); err != nil {
		return nil, err
	}
	if err := a.open(); err != nil {
		return nil, errors.Join(err, parent.RemoveAll(a.name))
	}
	return a, nil
}

// open makes the folder for the content.
func (a *Area) open() (err error) {
	if err := a.parent.Mkdir(path.Join(a.name, treeName), 0o755); err != nil {
		return err
	}
	a.tree, err = a.parent.OpenRoot(path.Join(a.name, treeName))
	return err
}

// renew gives the area a new folder for the content, and returns the one so far.
func (a *Area) renew() (*os.Root, error) {
	if err := a.parent.Rename(path.Join(a.name, treeName), path.Join(a.name, "earlier")); err != nil {
		return nil, err
	}
	earlier := a.tree
	return earlier, a.open()
}

// path is the path of the content's folder.
func (a *Area) path() string { return filepath.Join(a.dir, a.name, treeName) }

// Close removes the area. After Finish, nothing of the content is in it.
func (a *Area) Close() {
	a.tree.Close()
	// What can't be removed stays in the folder of somebody who clears it before the next run.
	_ = a.parent.RemoveAll(a.name)
}

// Finish leaves out what the filter doesn't take, and moves the rest to a folder, which must not exist yet
// unless it is “.”, the parent itself. Like vendir, it leaves out empty folders, and refuses a source
// without files. keepGit keeps .git folders.
func (a *Area) Finish(ctx context.Context, f Filter, root, to string, keepGit bool) error {
	if err := f.apply(ctx, a.tree); err != nil {
		return err
	}
	sub := folderOf(root)
	from, err := a.tree.OpenRoot(sub)
	if err != nil {
		return a.noSubPath(sub, err)
	}
	defer from.Close()
	files, err := tidy(ctx, from, ".", keepGit)
	if err != nil {
		return err
	}
	if !files {
		return errors.New("the source holds no files")
	}
	if to != "." {
		return a.parent.Rename(path.Join(a.name, treeName, sub), to)
	}
	entries, err := fs.ReadDir(from.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := a.parent.Rename(path.Join(a.name, treeName, sub, e.Name()), e.Name()); err != nil {
			return err
		}
	}
	return a.parent.RemoveAll(a.name)
}

// noSubPath explains why a subPath can't be taken.
func (a *Area) noSubPath(sub string, err error) error {
	if info, serr := a.tree.Stat(sub); serr == nil && !info.IsDir() {
		return fmt.Errorf("subPath %s is no folder", sub)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("subPath %s: %w", sub, err)
	}
	err = fmt.Errorf("subPath %s is not in the source", sub)
	var folders []string
	entries, _ := fs.ReadDir(a.tree.FS(), path.Dir(sub))
	for _, e := range entries {
		if e.IsDir() && e.Name() != ".git" {
			folders = append(folders, path.Join(path.Dir(sub), e.Name()))
		}
	}
	const few = 12
	if len(folders) == 0 || len(folders) > few {
		return err
	}
	return stages.WithHint(err, "folders there: %s", strings.Join(folders, ", "))
}

// tidy removes .git, unless it is to be kept, and empty folders, makes sure that all else is files, folders and links, and
// tells whether there are any files.
func tidy(ctx context.Context, root *os.Root, dir string, keepGit bool) (files bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	entries, err := fs.ReadDir(root.FS(), dir)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		switch {
		case !utf8.ValidString(e.Name()):
			return false, fmt.Errorf("%q: the name is not UTF-8 text", name)
		case e.Name() == ".git" && keepGit:
			files = true
		case e.Name() == ".git":
			if err := root.RemoveAll(name); err != nil {
				return false, err
			}
		case e.IsDir():
			below, err := tidy(ctx, root, name, keepGit)
			if err == nil && !below {
				err = root.Remove(name)
			}
			if err != nil {
				return false, err
			}
			files = files || below
		case e.Type().IsRegular(), e.Type() == fs.ModeSymlink:
			files = true
		default:
			return false, fmt.Errorf("%s is neither a file, a folder nor a link", name)
		}
	}
	return files, nil
}
