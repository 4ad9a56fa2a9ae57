package buildkit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// checkLinks makes sure that no symbolic link of the tree, which is that of a folder in root, leads out of
// root.
func (t *tree) checkLinks(root *os.Root, dir string) error {
	for i := range t.entries {
		e := &t.entries[i]
		if e.Mode&fs.ModeSymlink == 0 {
			continue
		}
		name := path.Join(dir, e.Name)
		out := filepath.IsAbs(e.Link) || !filepath.IsLocal(path.Join(path.Dir(name), e.Link))
		if !out {
			// A chain of links can leave through another one although each text looks harmless.
			_, err := root.Stat(name)
			out = err != nil && !errors.Is(err, fs.ErrNotExist)
		}
		if out {
			return fmt.Errorf("%s: symbolic link to %s leads out of the App's folder", name, e.Link)
		}
	}
	return nil
}

// Size is that of all files that the daemon may ask for, in bytes.
func (b *Build) Size() int64 {
	size := b.context.size()
	for _, c := range b.contexts {
		if c.tree != nil {
			size += c.tree.size()
		}
	}
	return size
}

func (t *tree) size() int64 {
	var size int64
	for i := range t.entries {
		if e := &t.entries[i]; e.Mode.IsRegular() {
			size += e.Size
		}
	}
	return size
}
