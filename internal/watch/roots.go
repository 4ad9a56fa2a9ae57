package watch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fsnotify/fsnotify"
)

// A root is a path that is watched, with all below it if it is a folder.
type root struct {
	// path is what the caller calls it, and real where it is after following links; empty if there is nothing.
	path, real string
	// steps are the paths through which it is reached, of which the last ones may not exist: changes of these
	// may make it another one.
	steps []string
}

// Set says what is watched from now on: files, and folders with all below them, by absolute paths; they need
// not exist. What lies below one of the paths in except isn't watched.
func (w *Watcher) Set(paths, except []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.except = nil
	for _, p := range except {
		w.except = append(w.except, p)
		if real, err := filepath.EvalSymlinks(p); err == nil && real != p {
			w.except = append(w.except, real)
		}
	}
	paths = slices.Compact(slices.Sorted(slices.Values(paths)))
	w.roots = nil
	for _, p := range paths {
		w.roots = append(w.roots, &root{path: filepath.Clean(p)})
	}
	before := w.folders
	w.folders = map[string]bool{}
	for _, r := range w.roots {
		w.attach(r)
	}
	for dir := range before {
		if !w.folders[dir] && w.system != nil {
			_ = w.system.Remove(dir) // it may be gone
		}
	}
	if w.add == nil {
		w.seen = w.look()
	}
}

// attach has the system watch what a root consists of now.
func (w *Watcher) attach(r *root) {
	r.real, r.steps = follow(r.path)
	if w.add == nil {
		return
	}
	for _, step := range r.steps {
		w.watch(filepath.Dir(step))
	}
	if r.real != "" {
		w.descend(r.real)
	}
}

// follow returns where a path leads, and the paths of itself and of the links on the way, all with real
// parents. If it leads nowhere, the last of them is the first that doesn't exist.
func follow(path string) (real string, steps []string) {
	const maxLinks = 40
	for range maxLinks {
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		if errors.Is(err, fs.ErrNotExist) && filepath.Dir(path) != path {
			real, more := follow(filepath.Dir(path))
			if real != "" { // it has been made meanwhile
				return "", append(steps, filepath.Join(real, filepath.Base(path)))
			}
			return "", append(steps, more...)
		}
		if err != nil {
			return "", steps
		}
		step := filepath.Join(dir, filepath.Base(path))
		steps = append(steps, step)
		target, err := os.Readlink(step)
		if err != nil {
			if _, err := os.Lstat(step); err != nil {
				return "", steps
			}
			return step, steps
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(dir, target)
		}
		path = target
	}
	return "", steps
}

// descend watches a folder and all below it. Links in it are files.
func (w *Watcher) descend(dir string) {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() || w.left(dir) {
		return
	}
	w.watch(dir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // it is gone, or may not be read
	}
	for _, e := range entries {
		if e.IsDir() && !Ignored(e.Name()) && w.add != nil {
			w.descend(filepath.Join(dir, e.Name()))
		}
	}
}

// watch has the system watch one folder. If it can't, all files are looked at from then on.
func (w *Watcher) watch(dir string) {
	if w.add == nil || w.folders[dir] {
		return
	}
	err := w.add(dir)
	switch {
	case err == nil:
		w.folders[dir] = true
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, fsnotify.ErrClosed):
	default:
		w.opts.Warn(w.worse(err))
		w.add, w.seen = nil, w.look()
	}
}

// left tells whether a path is left out.
func (w *Watcher) left(path string) bool {
	return slices.ContainsFunc(w.except, func(e string) bool { return below(path, e) })
}

// below tells whether a path is dir or lies below it.
func below(path, dir string) bool {
	rest, ok := strings.CutPrefix(path, dir)
	return ok && (rest == "" || rest[0] == filepath.Separator || strings.HasSuffix(dir, string(filepath.Separator)))
}

// take returns what an event of the system means.
func (w *Watcher) take(e fsnotify.Event) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.add == nil || w.left(e.Name) {
		return nil
	}
	if e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename) {
		w.forget(e.Name)
	}
	var changed []string
	for _, r := range w.roots {
		if slices.Contains(r.steps, e.Name) {
			w.attach(r)
			changed = append(changed, r.path)
			continue
		}
		if r.real == "" || !below(e.Name, r.real) {
			continue
		}
		inside, err := filepath.Rel(r.real, e.Name)
		if err != nil || slices.ContainsFunc(strings.Split(inside, string(filepath.Separator)), Ignored) {
			continue
		}
		if e.Has(fsnotify.Create) {
			w.descend(e.Name)
		}
		changed = append(changed, filepath.Join(r.path, inside))
	}
	return changed
}

// forget drops what was watched at a path that is gone, or is another one now.
func (w *Watcher) forget(path string) {
	if !w.folders[path] {
		return
	}
	for dir := range w.folders {
		if below(dir, path) {
			_ = w.system.Remove(dir) // it may be gone
			delete(w.folders, dir)
		}
	}
}
