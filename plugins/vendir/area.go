package vendir

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

// An area is where a source is put together before it becomes the step's result: below the step's
// own folder, so that the result is moved there and not copied.
type area struct {
	out *stages.Tree
	// name is the area's folder in out.
	name string
	// tree is the folder for the content.
	tree *os.Root
	// date is the time of the commit that the content is from; zero if it is from none.
	date time.Time
}

const treeName = "tree"

func newArea(out *stages.Tree) (*area, error) {
	a := &area{out: out, name: ".strake-fetch-" + strings.ToLower(rand.Text()[:10])}
	if err := out.Root().MkdirAll(path.Join(a.name, treeName), 0o755); err != nil {
		return nil, err
	}
	tree, err := out.Root().OpenRoot(path.Join(a.name, treeName))
	if err != nil {
		return nil, errors.Join(err, out.Root().RemoveAll(a.name))
	}
	a.tree = tree
	return a, nil
}

// dir is the path of the content's folder.
func (a *area) dir() string {
	return filepath.Join(a.out.Dir(), a.name, treeName)
}

// temp opens a new file beside the content, such as for a download. The caller must close it.
func (a *area) temp(name string) (*os.File, error) {
	return a.out.Root().OpenFile(path.Join(a.name, name), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
}

// close removes the area. After finish, nothing of the content is in it.
func (a *area) close() {
	a.tree.Close()
	// What can't be removed stays in the step's own folder, which is emptied before the next run.
	_ = a.out.Root().RemoveAll(a.name)
}

// finish makes a folder of the content the step's result. Like vendir, it leaves out empty folders,
// and refuses a source without files.
func (a *area) finish(ctx context.Context, subPath string) error {
	sub := folderOf(subPath)
	from, err := a.tree.OpenRoot(sub)
	if err != nil {
		return a.noSubPath(sub, err)
	}
	defer from.Close()
	files, err := tidy(ctx, from, ".")
	if err != nil {
		return err
	}
	if !files {
		return errors.New("the source holds no files")
	}
	entries, err := fs.ReadDir(from.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := a.out.Root().Rename(path.Join(a.name, treeName, sub, e.Name()), e.Name()); err != nil {
			return err
		}
	}
	if err := a.out.Root().RemoveAll(a.name); err != nil {
		return err
	}
	if err := a.out.CheckLinks(); err != nil {
		return stages.WithHint(err, "sources may only hold links to their own files")
	}
	return nil
}

// noSubPath explains why a subPath can't be taken.
func (a *area) noSubPath(sub string, err error) error {
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

// tidy removes .git and empty folders, makes sure that all else is files, folders and links, and
// tells whether there are any files.
func tidy(ctx context.Context, root *os.Root, dir string) (files bool, err error) {
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
		case e.Name() == ".git":
			if err := root.RemoveAll(name); err != nil {
				return false, err
			}
		case e.IsDir():
			below, err := tidy(ctx, root, name)
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
