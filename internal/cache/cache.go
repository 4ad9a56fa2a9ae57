// Package cache keeps what was downloaded in one folder that Apps and processes share: files by their
// digest, repositories by their address, and small notes on what was where.
//
// A file is written beside its place, and moved there once its digest is known to be right; it is checked
// again each time it is opened, so that a torn or changed one is downloaded again and never used. A folder
// is used under a lock that other processes see. What has not been used for the longest time goes first when
// the whole is above its limit. Everything in it may be deleted at any time.
package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
)

// DefaultLimit is the size in bytes of what a cache may hold where nothing else is said.
const DefaultLimit = 10 << 30

// A Store is a cache. A nil Store keeps nothing: files are temporary then, and there are no notes. It is safe
// for concurrent use.
type Store struct {
	dir   string
	limit int64
	// grown is set once something was added, so that it has to be seen whether that is too much.
	grown atomic.Bool
}

// The parts of a cache's folder.
const (
	blobsDir = "blobs"
	notesDir = "notes"
	reposDir = "repositories"
	tempDir  = "tmp"
)

// Open returns the cache in a folder, which is made when something is put there. It may hold limit bytes
// after [Store.Trim]; 0 means [DefaultLimit].
func Open(dir string, limit int64) *Store {
	if limit <= 0 {
		limit = DefaultLimit
	}
	return &Store{dir: dir, limit: limit}
}

// Path is the cache's folder.
func (s *Store) Path() string { return s.dir }

// make makes a folder of the cache. The first one marks the cache as such for backup tools
// (https://bford.info/cachedir/).
func (s *Store) make(elements ...string) (string, error) {
	dir := filepath.Join(append([]string{s.dir}, elements...)...)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("cache: %w", err)
	}
	tag := filepath.Join(s.dir, "CACHEDIR.TAG")
	if _, err := os.Lstat(tag); errors.Is(err, fs.ErrNotExist) {
		_ = os.WriteFile(tag, []byte("Signature: 8a477f597d28d172789f06886806bc55\n# made by strake; it may be deleted at any time\n"), 0o600)
	}
	return dir, nil
}

// Mode says how a lock is held.
type Mode int

const (
	// Shared is for readers, of which there may be many.
	Shared Mode = iota
	// Exclusive is for the one that writes.
	Exclusive
)

// poll is how often a lock that another one holds is tried.
const poll = 10 * time.Millisecond

// acquire takes a lock by its file, and waits until ctx ends.
func acquire(ctx context.Context, file string, mode Mode) (*flock.Flock, error) {
	lock := flock.New(file, flock.SetPermissions(0o600))
	try := lock.TryRLockContext
	if mode == Exclusive {
		try = lock.TryLockContext
	}
	if _, err := try(ctx, poll); err != nil {
		return nil, fmt.Errorf("cache: waiting for %s: %w", filepath.Base(file), err)
	}
	return lock, nil
}

// recent is how old the mark of a use may get before it is renewed: order matters, exactness doesn't.
const recent = time.Hour

// touch marks something as used.
func touch(file string, info fs.FileInfo) {
	if now := time.Now(); now.Sub(info.ModTime()) > recent {
		_ = os.Chtimes(file, now, now) // without it, it is only evicted earlier
	}
}
