package source

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"strake.dev/strake/stages"
	"strake.dev/strake/stages/filesum"
)

// A walker finds the files of a local folder that belong to a source.
type walker struct {
	root             *os.Root
	dir              string
	include, exclude []string
	keepGit          bool
	// skip are the names of what is no source: strake's own files, and the workspace.
	skip map[string]bool
}

func (s *directorySource) walker(job *stages.Job) (*walker, error) {
	root, err := os.OpenRoot(s.dir(job))
	if err != nil {
		return nil, cmp.Or(s.Check(context.Background(), job), err)
	}
	w := &walker{root: root, dir: realPath(s.dir(job)), include: cleaned(s.IncludePaths), exclude: cleaned(s.ExcludePaths), keepGit: s.f.deps.KeepGit, skip: map[string]bool{}}
	for _, local := range job.Local {
		if !filepath.IsAbs(local) {
			local = filepath.Join(job.Dir, local)
		}
		w.leaveOut(local)
	}
	for _, t := range []*stages.Tree{job.Out, job.Sources} {
		if t != nil {
			w.leaveOut(t.Dir())
		}
	}
	return w, nil
}

// leaveOut leaves out a file or folder if it lies in the source's folder.
func (w *walker) leaveOut(p string) {
	if name, err := filepath.Rel(w.dir, realPath(p)); err == nil && filepath.IsLocal(name) {
		w.skip[filepath.ToSlash(name)] = true
	}
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

// filter leaves out what is no part of the source.
func (w *walker) filter(name string, dir bool) (keep bool, below filesum.Filter, err error) {
	if path.Base(name) == ".git" && !w.keepGit || w.skip[name] {
		return false, nil, nil
	}
	if !utf8.ValidString(name) {
		return false, nil, fmt.Errorf("%q: the name is not UTF-8 text", name)
	}
	if dir {
		if w.excludesFolder(name) {
			return false, nil, nil
		}
		return true, w.filter, nil
	}
	return w.takes(name), nil, nil
}

// files checks entries, and returns those that are files and links, in the order of a walk.
func files(entries []filesum.Entry) ([]filesum.Entry, error) {
	list := slices.DeleteFunc(entries, func(e filesum.Entry) bool { return e.Mode.IsDir() })
	for _, e := range list {
		if !e.Mode.IsRegular() && e.Mode.Type() != fs.ModeSymlink {
			return nil, stages.WithHint(fmt.Errorf("%s: neither a file, a folder nor a link", e.Name), "leave it out with excludePaths")
		}
	}
	return list, nil
}

// list lists the source's files and links, without their digests.
func (w *walker) list(ctx context.Context) ([]filesum.Entry, error) {
	if w.skip["."] {
		return nil, nil
	}
	entries, err := filesum.List(ctx, w.root, ".", w.filter)
	if err != nil {
		return nil, err
	}
	return files(entries)
}

func (w *walker) takes(name string) bool {
	return (len(w.include) == 0 || matches(w.include, name)) && !matches(w.exclude, name)
}

// excludesFolder tells whether a pattern excludes all that is below a folder, which need not be
// looked at then.
func (w *walker) excludesFolder(name string) bool {
	return slices.ContainsFunc(w.exclude, func(pattern string) bool {
		whole, ok := strings.CutSuffix(pattern, "/**")
		return ok && matches([]string{whole}, name)
	})
}

// digest is over what a copy would hold: names, executable bits, targets of links, and contents. What
// sums knows is not read.
func (w *walker) digest(ctx context.Context, sums *filesum.Cache) (string, error) {
	if w.skip["."] {
		return "", nil
	}
	entries, err := filesum.Scan(ctx, w.root, ".", sums, w.filter)
	if err != nil {
		return "", err
	}
	if entries, err = files(entries); err != nil {
		return "", err
	}
	sum := sha256.New()
	var line []byte
	for i := range entries {
		e := &entries[i]
		if e.Mode.IsRegular() {
			line = strconv.AppendQuote(append(line[:0], "f "...), e.Name)
			line = strconv.AppendBool(append(line, ' '), e.Executable())
			line = hex.AppendEncode(append(line, ' '), e.Sum[:])
		} else {
			line = strconv.AppendQuote(append(line[:0], "l "...), e.Name)
			line = strconv.AppendQuote(append(line, ' '), e.Link)
		}
		line = append(line, '\n')
		sum.Write(line)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
