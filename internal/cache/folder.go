package cache

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// A Dir is a folder of the cache, locked until it is closed.
type Dir struct {
	// Path is the folder's absolute path.
	Path string

	lock *flock.Flock
}

// Dir opens the folder of a key, such as a repository's address, and makes it if need be. It waits as long as
// another one, in this process or in another, holds it in a way that doesn't allow for mode. kind is a
// word that becomes part of the folder's name.
func (s *Store) Dir(ctx context.Context, kind, key string, mode Mode) (*Dir, error) {
	parent, err := s.make(reposDir)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(filepath.Join(parent, kind+"-"+hashed(key)))
	if err != nil {
		return nil, err
	}
	lock, err := acquire(ctx, dir+lockSuffix, mode)
	if err != nil {
		return nil, err
	}
	d := &Dir{Path: dir, lock: lock}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	if info, err := os.Stat(lock.Path()); err == nil {
		touch(lock.Path(), info)
	}
	if mode == Exclusive {
		s.grown.Store(true)
	}
	return d, nil
}

// lockSuffix makes the name of a folder's lock file, which is never removed while its folder is there: its
// time is that of the last use.
const lockSuffix = ".lock"

// Close releases the folder. Of a nil Dir, as where there is no cache, it has nothing to release.
func (d *Dir) Close() error {
	if d == nil {
		return nil
	}
	return d.lock.Close()
}

// Remove empties the folder, which must be held exclusively.
func (d *Dir) Remove() error {
	return errors.Join(os.RemoveAll(d.Path), os.MkdirAll(d.Path, 0o700))
}
