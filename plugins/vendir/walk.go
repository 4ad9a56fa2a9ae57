package vendir

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar"

	"strake.dev/strake/stages"
)

// A walker finds the files of a local folder that belong to a source.
type walker struct {
	root             *os.Root
	dir              string
	include, exclude []string
	// skip are absolute paths that are no source: strake's own files, and the workspace.
	skip []string
}

func (s *directorySource) walker(job *stages.Job) (*walker, error) {
	root, err := os.OpenRoot(s.dir(job))
	if err != nil {
		return nil, cmp.Or(s.check(context.Background(), job), err)
	}
	w := &walker{root: root, dir: realPath(s.dir(job)), include: s.IncludePaths, exclude: s.ExcludePaths}
	for _, local := range job.Local {
		if !filepath.IsAbs(local) {
			local = filepath.Join(job.Dir, local)
		}
		w.skip = append(w.skip, realPath(local))
	}
	for _, t := range []*stages.Tree{job.Out, job.Sources} {
		if t != nil {
			w.skip = append(w.skip, realPath(t.Dir()))
		}
	}
	return w, nil
}

// realPath is the absolute path without links, as far as it exists.
func realPath(p string) string {
	if abs, err := filepath.Abs(p); err == nil {
		p = abs
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(p)); err == nil {
		p = filepath.Join(dir, filepath.Base(p))
	}
	if real, err := filepath.EvalSymlinks(p); err == nil {
		return real
	}
	return p
}

// walk calls visit for each file and link, in the order of their names.
func (w *walker) walk(ctx context.Context, visit func(name string, info fs.FileInfo) error) error {
	return fs.WalkDir(w.root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err := errors.Join(ctx.Err(), err); err != nil {
			return err
		}
		if e.Name() == ".git" || slices.Contains(w.skip, filepath.Join(w.dir, filepath.FromSlash(name))) {
			return skip(e)
		}
		if !utf8.ValidString(name) {
			return fmt.Errorf("%q: the name is not UTF-8 text", name)
		}
		if e.IsDir() {
			if name != "." && w.excludesFolder(name) {
				return fs.SkipDir
			}
			return nil
		}
		if !w.takes(name) {
			return nil
		}
		if !e.Type().IsRegular() && e.Type() != fs.ModeSymlink {
			return stages.WithHint(fmt.Errorf("%s: neither a file, a folder nor a link", name), "leave it out with excludePaths")
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		return visit(name, info)
	})
}

func skip(e fs.DirEntry) error {
	if e.IsDir() {
		return fs.SkipDir
	}
	return nil
}

func (w *walker) takes(name string) bool {
	return (len(w.include) == 0 || matchesAny(w.include, name)) && !matchesAny(w.exclude, name)
}

// excludesFolder tells whether a pattern excludes all that is below a folder, which need not be
// looked at then.
func (w *walker) excludesFolder(name string) bool {
	return slices.ContainsFunc(w.exclude, func(pattern string) bool {
		whole, ok := strings.CutSuffix(pattern, "/**")
		return ok && matchesAny([]string{whole}, name)
	})
}

func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		// The configuration has been checked for patterns that are in error.
		ok, _ := doublestar.Match(path.Clean(pattern), name)
		return ok
	})
}

// digest is over what a copy would hold: names, executable bits, targets of links, and contents.
func (w *walker) digest(ctx context.Context) (string, error) {
	sum := sha256.New()
	err := w.walk(ctx, func(name string, info fs.FileInfo) error {
		if info.Mode()&fs.ModeSymlink != 0 {
			target, err := w.root.Readlink(name)
			fmt.Fprintf(sum, "l %q %q\n", name, target)
			return err
		}
		f, err := w.root.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		content := sha256.New()
		if err := copyContent(ctx, content, f); err != nil {
			return err
		}
		fmt.Fprintf(sum, "f %q %t %x\n", name, info.Mode()&0o100 != 0, content.Sum(nil))
		return nil
	})
	return hex.EncodeToString(sum.Sum(nil)), err
}
