package ytt

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"carvel.dev/ytt/pkg/files"

	"strake.dev/strake/stages"
)

// A File is one input file of ytt. Its content is read when ytt wants it, which for files that are
// no templates is often never.
type File struct {
	// Rel is the path by which templates, file marks and messages know the file. With -f FOLDER, ytt
	// has it relative to the folder; with -f FILE, it is the file's name alone.
	Rel string
	// Source says in messages where the file comes from.
	Source string
	// Read returns the content.
	Read func() ([]byte, error)
}

// Bytes returns a file whose content is in memory.
func Bytes(rel, source string, content []byte) File {
	return File{Rel: rel, Source: source, Read: func() ([]byte, error) { return content, nil }}
}

// Files returns the files that “ytt -f” reads for a path of the tree, in ytt's order. As in ytt,
// symbolic links are refused.
func Files(ctx context.Context, tree *stages.Tree, name string) ([]File, error) {
	clean, err := stages.Clean(name)
	if err != nil {
		return nil, err
	}
	info, err := fs.Lstat(tree.FS(), clean)
	if err == nil {
		_, err = fs.Stat(tree.FS(), clean)
	}
	if err != nil {
		// Path has the messages for what isn't there and for what leads out of the tree.
		if _, explained := tree.Path(clean); explained != nil {
			err = explained
		}
		return nil, withEntries(err, tree)
	}
	if !info.IsDir() {
		if err := checkType(tree, clean, info.Mode()); err != nil {
			return nil, err
		}
		return []File{treeFile(tree, clean, path.Base(clean))}, nil
	}
	var found []File
	err = fs.WalkDir(tree.FS(), clean, func(p string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case e.IsDir():
			return nil
		}
		if err := checkType(tree, p, e.Type()); err != nil {
			return err
		}
		rel := p
		if clean != "." {
			rel = p[len(clean)+1:]
		}
		found = append(found, treeFile(tree, p, rel))
		return nil
	})
	slices.SortFunc(found, func(a, b File) int { return cmp.Compare(a.Rel, b.Rel) })
	return found, err
}

// withEntries adds what there is at the top of the tree, because paths count from there.
func withEntries(err error, tree *stages.Tree) error {
	entries, listErr := fs.ReadDir(tree.FS(), ".")
	const few = 12
	if listErr != nil || len(entries) > few {
		return stages.WithHint(err, "paths count from the App's folder")
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return stages.WithHint(err, "paths count from the App's folder, which holds: %s", strings.Join(names, ", "))
}

func treeFile(tree *stages.Tree, name, rel string) File {
	return File{Rel: rel, Source: "file " + name, Read: func() ([]byte, error) { return fs.ReadFile(tree.FS(), name) }}
}

func checkType(tree *stages.Tree, name string, mode fs.FileMode) error {
	if mode&fs.ModeSymlink != 0 {
		target, err := tree.Root().Readlink(name)
		if err != nil {
			return err
		}
		return stages.WithHint(fmt.Errorf("%s: is a symbolic link to %s, which ytt doesn't follow", name, target),
			"put the file itself there, or list under paths only what is meant to be read")
	}
	if !mode.IsRegular() {
		return fmt.Errorf("%s: expected a file or folder, found %s", name, mode.Type())
	}
	return nil
}

// A source lets ytt read a File.
type source struct{ file File }

func (s source) Description() string           { return s.file.Source }
func (s source) RelativePath() (string, error) { return s.file.Rel, nil }
func (s source) Bytes() ([]byte, error)        { return s.file.Read() }

// library returns the files as ytt has them. ytt marks and remembers things in them, so each run
// needs its own.
func library(in []File) ([]*files.File, error) {
	out := make([]*files.File, len(in))
	for i, f := range in {
		file, err := files.NewFileFromSource(files.NewCachedSource(source{f}))
		if err != nil {
			return nil, err
		}
		out[i] = file
	}
	return files.NewSortedFiles(out), nil
}
