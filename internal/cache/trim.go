package cache

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// An Entry is one thing that a cache holds.
type Entry struct {
	// Kind is blob, note, or that of a folder, such as git.
	Kind string `json:"kind"`
	// Name is that of the file or folder in its part of the cache.
	Name string `json:"name"`
	// Size is in bytes.
	Size int64 `json:"size"`
	// Used is when it was last used, give or take an hour.
	Used time.Time `json:"used"`

	path string
	// lock is the file that a folder is locked by.
	lock string
}

// Entries lists what the cache holds, what was used last first.
func (s *Store) Entries(ctx context.Context) ([]Entry, error) {
	var all []Entry
	for part, kind := range map[string]string{blobsDir: "blob", notesDir: "note", reposDir: ""} {
		entries, err := os.ReadDir(filepath.Join(s.dir, part))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if strings.HasSuffix(e.Name(), lockSuffix) {
				continue
			}
			// One that another process has just removed is passed over.
			if entry, err := s.entry(part, kind, e); err == nil {
				all = append(all, entry)
			}
		}
	}
	slices.SortFunc(all, func(a, b Entry) int { return cmp.Or(b.Used.Compare(a.Used), cmp.Compare(a.Name, b.Name)) })
	return all, nil
}

func (s *Store) entry(part, kind string, e fs.DirEntry) (Entry, error) {
	entry := Entry{Kind: kind, Name: e.Name(), path: filepath.Join(s.dir, part, e.Name())}
	used := entry.path
	if e.IsDir() {
		entry.Kind, _, _ = strings.Cut(e.Name(), "-")
		entry.lock = entry.path + lockSuffix
		used = entry.lock
		if err := filepath.WalkDir(entry.path, func(_ string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			info, err := e.Info()
			if err == nil {
				entry.Size += info.Size()
			}
			return err
		}); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return entry, err
		}
	}
	info, err := os.Stat(used)
	if err != nil {
		return entry, err
	}
	if !e.IsDir() {
		entry.Size = info.Size()
	}
	entry.Used = info.ModTime()
	return entry, nil
}

// Trim removes what was not used for the longest time if this Store has added something and the whole is above
// its limit, and what interrupted downloads have left.
func (s *Store) Trim(ctx context.Context) error {
	if s == nil || !s.grown.Swap(false) {
		return nil
	}
	_, err := s.Prune(ctx, s.limit)
	return err
}

// abandoned is the age at which an unfinished download is nobody's any more.
const abandoned = 24 * time.Hour

// Prune removes what was not used for the longest time until at most limit bytes are left, and returns what it
// has removed. What is in use stays.
func (s *Store) Prune(ctx context.Context, limit int64) ([]Entry, error) {
	s.sweep()
	entries, err := s.Entries(ctx)
	if err != nil {
		return nil, err
	}
	total := int64(0)
	for _, e := range entries {
		total += e.Size
	}
	var removed []Entry
	for _, e := range slices.Backward(entries) {
		if total <= limit {
			break
		}
		if err := ctx.Err(); err != nil {
			return removed, err
		}
		if gone, err := e.remove(); err != nil {
			return removed, err
		} else if gone {
			total -= e.Size
			removed = append(removed, e)
		}
	}
	return removed, nil
}

// remove removes an entry unless it is in use. A file that somebody has open stays readable there.
func (e *Entry) remove() (bool, error) {
	if e.lock == "" {
		err := os.Remove(e.path)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return true, err
	}
	lock := flock.New(e.lock, flock.SetPermissions(0o600))
	held, err := lock.TryLock()
	if err != nil || !held {
		return false, err
	}
	defer lock.Close()
	// The lock's file stays: another process may be waiting for it.
	return true, os.RemoveAll(e.path)
}

// outdated is the age at which a note that nobody has read is of no use any more.
const outdated = 60 * 24 * time.Hour

// sweep removes downloads that were interrupted, and old notes.
func (s *Store) sweep() {
	for _, part := range []string{tempDir, blobsDir, notesDir} {
		dir := filepath.Join(s.dir, part)
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil || part == blobsDir && !strings.HasSuffix(e.Name(), lockSuffix) {
				continue
			}
			limit := abandoned
			if part == notesDir {
				limit = outdated
			}
			if time.Since(info.ModTime()) > limit {
				_ = os.RemoveAll(filepath.Join(dir, e.Name()))
			}
		}
	}
}
