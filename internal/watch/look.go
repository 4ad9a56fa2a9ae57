package watch

import (
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A look is what tells one state of a file from another.
type look struct {
	mode fs.FileMode
	size int64
	at   time.Time
}

// look looks at all files that are watched.
func (w *Watcher) look() map[string]look {
	seen := map[string]look{}
	for _, r := range w.roots {
		// What can't be read isn't there.
		_ = walk(r.path, func(path string, info fs.FileInfo) bool {
			if w.left(path) || path != r.path && Ignored(info.Name()) {
				return false
			}
			l := look{mode: info.Mode(), size: info.Size(), at: info.ModTime()}
			if info.IsDir() { // what is in it is looked at by itself
				l.size, l.at = 0, time.Time{}
			}
			seen[path] = l
			return true
		})
	}
	return seen
}

// walk calls visit for a path, followed if it is a link, and for all below it as long as it returns true.
func walk(path string, visit func(string, fs.FileInfo) bool) error {
	info, err := os.Stat(path)
	if err != nil || !visit(path, info) || !info.IsDir() {
		return err
	}
	return walkIn(path, visit)
}

func walkIn(dir string, visit func(string, fs.FileInfo) bool) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue // it is gone
		}
		path := filepath.Join(dir, e.Name())
		if visit(path, info) && info.IsDir() {
			_ = walkIn(path, visit) // likewise
		}
	}
	return err
}

// compare returns what looks otherwise than before, if the system doesn't tell.
func (w *Watcher) compare() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.add != nil {
		return nil
	}
	before := w.seen
	w.seen = w.look()
	var changed []string
	for path, l := range w.seen {
		if old, ok := before[path]; !ok || old != l {
			changed = append(changed, path)
		}
	}
	for path := range before {
		if _, ok := w.seen[path]; !ok {
			changed = append(changed, path)
		}
	}
	return changed
}
