// Package filesum lists folder trees with the digests of their files, and reads no file again that
// has not changed. Scan and Stat do the listing; a [Cache] remembers the digests from run to run, in
// one file for each tree.
//
// A digest counts as long as size, times of modification and change, inode, device and executable bit
// of its file are what they were. A file that was changed so shortly before it was read that another
// change might leave the same times is not remembered, as in git's index. That takes the clock of the
// file system to be that of the machine, give or take a second. On systems that don't tell inodes and
// times of change nothing is remembered, and everything is read each time.
//
// No symbolic link is followed, and a scan that others rename folders under doesn't leave the tree.
package filesum

import (
	"cmp"
	"crypto/sha256"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Cache holds the digests of one tree's files. It is safe for concurrent use, by processes too: the
// last one to save wins. A nil Cache remembers nothing.
type Cache struct {
	store *store
	// dir is the folder of the store's tree that the cache is for.
	dir string
}

// A store is what the caches of one file share.
type store struct {
	file string
	read sync.Once

	mu      sync.Mutex
	folders map[string][]record
	// seen are the folders that were looked at, with the names of the folders in each.
	seen  map[string][]string
	dirty bool
}

// A record is what is remembered of a file. Those of a folder are sorted by name.
type record struct {
	name string
	stamp
	sum [sha256.Size]byte
}

// A stamp tells whether a file has changed.
type stamp struct {
	size int64
	// mtime and ctime are in nanoseconds since 1970.
	mtime, ctime int64
	dev, ino     uint64
	exec         bool
}

// margin is more than the steps in which any file system counts time: FAT has 2 seconds.
const margin = int64(2*time.Second + 100*time.Millisecond)

// settled tells whether a file that was read from the given moment on would have another stamp if it
// had been changed since.
func (s stamp) settled(read time.Time) bool {
	return max(s.mtime, s.ctime) < read.UnixNano()-margin
}

// Open returns the cache that is kept in a file. The file is read when the cache is first used; one
// that isn't there, is damaged, or is of another version is an empty cache.
func Open(file string) *Cache {
	return &Cache{store: &store{file: file, seen: map[string][]string{}}, dir: "."}
}

// Below is the part of the cache that is for a folder of its tree.
func (c *Cache) Below(dir string) *Cache {
	if c == nil {
		return nil
	}
	return &Cache{store: c.store, dir: path.Join(c.dir, dir)}
}

// Save writes the file whole and at once if there is anything new, and makes its folder if need be.
func (c *Cache) Save() error {
	if c == nil {
		return nil
	}
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	if !c.store.dirty {
		return nil
	}
	c.store.forgetGone()
	if err := c.store.write(); err != nil {
		return err
	}
	c.store.dirty = false
	return nil
}

// folder returns what is remembered of a folder's files.
func (c *Cache) folder(dir string) []record {
	if c == nil {
		return nil
	}
	s := c.store
	s.read.Do(func() {
		data, err := os.ReadFile(s.file)
		if err == nil {
			s.folders, err = decode(data)
		}
		if err != nil || s.folders == nil {
			s.folders = map[string][]record{}
		}
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.folders[path.Join(c.dir, dir)]
}

// visited remembers which folders are in a folder and, if changed, its files' records.
func (c *Cache) visited(dir string, folders []string, records []record, changed bool) {
	if c == nil {
		return
	}
	s := c.store
	dir = path.Join(c.dir, dir)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[dir] = folders
	if changed {
		s.folders[dir], s.dirty = records, true
	}
}

// forgetGone drops the folders that are no longer in the folder above them. What no scan has looked at
// is kept: it may be for another one.
func (s *store) forgetGone() {
	gone := map[string]bool{}
	isGone := func(dir string) bool {
		for ; dir != "."; dir = path.Dir(dir) {
			if known, ok := gone[dir]; ok {
				return known
			}
			above := path.Dir(dir)
			if folders, ok := s.seen[above]; ok && !slices.Contains(folders, path.Base(dir)) {
				return true
			}
		}
		return false
	}
	for dir := range s.folders {
		if gone[dir] = isGone(dir); gone[dir] {
			delete(s.folders, dir)
		}
	}
}

func find(records []record, name string) *record {
	i, ok := slices.BinarySearchFunc(records, name, func(r record, name string) int { return cmp.Compare(r.name, name) })
	if !ok {
		return nil
	}
	return &records[i]
}

// join is path.Join for names that are clean.
func join(dir, name string) string {
	if dir == "." {
		return name
	}
	return strings.Join([]string{dir, name}, "/")
}
