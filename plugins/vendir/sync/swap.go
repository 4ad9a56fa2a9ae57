package sync

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
	"github.com/moby/sys/atomicwriter"
)

// A staging is a folder beside the configuration's folders, in which what takes their place is put together.
// It has the form of vendir's name, so that what ignores one ignores the other.
type staging struct {
	dir  string
	root string
	lock *flock.Flock
}

const (
	// Vendir's own folders have digits after the second hyphen.
	stagingPrefix = ".vendir-tmp-s"
	newName       = "new"
	tempName      = "tmp"
	lockName      = "lock"
	// journalName is the file that says what is to be moved. While it is there, the moves are to be made.
	journalName = "journal.json"
)

// newStaging makes a staging folder in dir.
func newStaging(dir string) (*staging, error) {
	const attempts = 10
	for attempt := 1; ; attempt++ {
		s, err := tryStaging(dir)
		if err == nil || attempt == attempts || !errors.Is(err, errTaken) && !errors.Is(err, fs.ErrNotExist) {
			return s, err
		}
	}
}

// errTaken says that another sync has taken a new folder for one that was left.
var errTaken = errors.New("another sync is clearing up")

func tryStaging(dir string) (*staging, error) {
	n, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, err
	}
	s := &staging{dir: dir, root: filepath.Join(dir, stagingPrefix+n.String())}
	if err := os.Mkdir(s.root, 0o700); err != nil {
		return nil, err
	}
	s.lock = flock.New(filepath.Join(s.root, lockName), flock.SetPermissions(0o600))
	held, err := s.lock.TryLock()
	if err == nil && !held {
		err = errTaken
	}
	if err != nil {
		return nil, err
	}
	for _, name := range []string{newName, tempName} {
		if err := os.Mkdir(filepath.Join(s.root, name), 0o700); err != nil {
			return nil, errors.Join(err, s.lock.Close())
		}
	}
	return s, nil
}

// path is a path in the folder.
func (s *staging) path(elements ...string) string {
	p := s.root
	for _, e := range elements {
		p = filepath.Join(p, filepath.FromSlash(e))
	}
	return p
}

// clear removes all but the lock.
func (s *staging) clear() error {
	entries, err := os.ReadDir(s.root)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != lockName {
			err = errors.Join(err, removeAll(s.path(e.Name())))
		}
	}
	return err
}

// close removes the folder.
func (s *staging) close() error {
	err := removeAll(s.root)
	return errors.Join(err, s.lock.Close())
}

// A move lets something that was put together take the place of what is there. Its paths have slashes.
type move struct {
	// From counts from the staging folder, To from the one that it is in.
	From string `json:"from"`
	To   string `json:"to"`
	// Inode tells whether the move was made already.
	Inode uint64 `json:"inode"`
}

// swap makes the moves. From the moment that they are written down, they are all made, by this process or
// by the next sync.
func (s *staging) swap(moves []move) error {
	if len(moves) == 0 {
		return nil
	}
	for i := range moves {
		var err error
		if moves[i].Inode, err = inode(s.path(moves[i].From)); err != nil {
			return err
		}
	}
	journal, err := json.Marshal(moves)
	if err != nil {
		return err
	}
	if err := atomicwriter.WriteFile(s.path(journalName), journal, 0o600); err != nil {
		return err
	}
	return s.carryOut(moves)
}

func (s *staging) carryOut(moves []move) error {
	for i, m := range moves {
		if err := s.carry(i, m); err != nil {
			return fmt.Errorf("replacing %s: %w", m.To, err)
		}
	}
	return os.Remove(s.path(journalName))
}

func (s *staging) carry(i int, m move) error {
	from, to := s.path(m.From), filepath.Join(s.dir, filepath.FromSlash(m.To))
	now, err := inode(to)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		return os.Rename(from, to)
	case err != nil:
		return err
	case now == m.Inode && now != 0:
		return nil // made already
	}
	err = exchange(from, to)
	if err == nil || !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	// There is a moment without the folder, and the next sync puts the new one there.
	if err := os.Rename(to, s.path(fmt.Sprintf("old-%d", i))); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// recoverSwaps completes and removes what killed syncs have left in a folder. What vendir itself has left
// stays.
func recoverSwaps(dir string) error {
	found, err := filepath.Glob(filepath.Join(globEscaped(dir), stagingPrefix+"*"))
	if err != nil {
		return err
	}
	for _, root := range found {
		s := &staging{dir: dir, root: root, lock: flock.New(filepath.Join(root, lockName), flock.SetPermissions(0o600))}
		if held, err := s.lock.TryLock(); err != nil || !held {
			continue // another sync is at work, or has just ended
		}
		if err := errors.Join(s.resume(), s.close()); err != nil {
			return fmt.Errorf("completing what an interrupted sync has begun (%s): %w", filepath.Base(root), err)
		}
	}
	return nil
}

// globEscaped makes a pattern that a path alone matches.
func globEscaped(dir string) string {
	var out []rune
	for _, r := range dir {
		switch r {
		case '*', '?', '[', '\\':
			out = append(out, '\\')
		}
		out = append(out, r)
	}
	return string(out)
}

func (s *staging) resume() error {
	text, err := os.ReadFile(s.path(journalName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var moves []move
	if err := json.Unmarshal(text, &moves); err != nil {
		return fmt.Errorf("%s: %w", journalName, err)
	}
	for _, m := range moves {
		if !filepath.IsLocal(filepath.FromSlash(m.From)) || !filepath.IsLocal(filepath.FromSlash(m.To)) {
			return fmt.Errorf("%s: %s: leads out of the folder", journalName, m.To)
		}
	}
	return s.carryOut(moves)
}

// removeAll removes a tree, also one with folders that can't be written to.
func removeAll(dir string) error {
	if err := os.RemoveAll(dir); err == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	_ = filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			_ = os.Chmod(p, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}
