package sync

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"
	"golang.org/x/sync/errgroup"

	"strake.dev/strake/stages/filesum"
)

// A treeNote is what the cache knows of a content that was synced.
type treeNote struct {
	// Config is the digest of its configuration, Key names what the source had.
	Config string                           `json:"config"`
	Key    string                           `json:"key"`
	Entry  vendirconf.LockDirectoryContents `json:"entry"`
	// Stamp tells whether anything in its folder has changed since.
	Stamp string `json:"stamp"`
}

const treeNotes = "tree"

// decide finds out what needn't be fetched.
func (r *run) decide(ctx context.Context, dirs []*folder) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, d := range dirs {
		locked, _ := r.Lock.FindDirectory(d.conf.Path) // the lock file may not have it
		for _, c := range d.contents {
			old, _ := locked.FindContents(c.conf.Path)
			lazy := r.Lazy && c.conf.Lazy && old.ConfigDigest == c.configDigest
			if r.Announce != nil {
				r.Announce(d.conf.Path, c.conf.Path, c.conf, lazy)
			}
			switch {
			case lazy:
				c.kept, c.entry = true, old
			case c.conf.Manual != nil:
				c.kept, c.entry.Manual = true, &vendirconf.LockDirectoryContentsManual{}
			default:
				g.Go(func() error { return r.compare(gctx, d, c) })
			}
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, d := range dirs {
		d.unchanged = r.unchanged(d)
	}
	return nil
}

// compare keeps a content whose source has what it had, and whose folder is as it was left.
func (r *run) compare(ctx context.Context, d *folder, c *content) error {
	var note treeNote
	known := r.cache.Note(treeNotes, r.noteKey(c), &note) && note.Config == c.configDigest && note.Key != ""
	if known {
		stamp, _, err := stampOf(ctx, filepath.Join(r.Dir, filepath.FromSlash(c.path)))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		known = err == nil && stamp == note.Stamp
	}
	if !known {
		return nil
	}
	key, err := c.source.Key(ctx, r.job(c), nil)
	if err != nil {
		return fmt.Errorf("Syncing directory '%s': Syncing directory '%s' with %s contents: %w", //nolint:staticcheck // vendir's words
			d.conf.Path, c.conf.Path, kindWords(c.source.Kind()), err)
	}
	if key == note.Key {
		c.kept, c.entry, c.key = true, note.Entry, key
	}
	return nil
}

func (r *run) noteKey(c *content) string {
	dir, err := filepath.Abs(filepath.Join(r.Dir, filepath.FromSlash(c.path)))
	if err != nil {
		return c.path
	}
	return dir
}

// unchanged tells whether a folder can stay: all its contents do, and nothing else is in it.
func (r *run) unchanged(d *folder) bool {
	if len(d.contents) == 0 {
		return false
	}
	own := map[string]bool{}
	for _, c := range d.contents {
		if !c.kept {
			return false
		}
		info, err := os.Lstat(filepath.Join(r.Dir, filepath.FromSlash(c.path)))
		if err != nil || !info.IsDir() || c.conf.Permissions != nil && info.Mode().Perm() != *c.conf.Permissions {
			return false
		}
		for p := path.Clean(filepath.ToSlash(c.conf.Path)); ; p = path.Dir(p) {
			own[p] = own[p] || p == path.Clean(filepath.ToSlash(c.conf.Path))
			if p == "." {
				break
			}
		}
	}
	if r.Partial {
		return true
	}
	dir := filepath.Join(r.Dir, d.conf.Path)
	if info, err := os.Lstat(dir); err != nil || !info.IsDir() || d.conf.Permissions != nil && info.Mode().Perm() != *d.conf.Permissions {
		return false
	}
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		switch whole, above := own[filepath.ToSlash(name)]; {
		case whole:
			return fs.SkipDir
		case above && e.IsDir():
			return nil
		default:
			return errExtra
		}
	})
	return err == nil
}

// errExtra ends a walk at what no content has put there.
var errExtra = errors.New("something else")

// settle notes what was synced, once what it took the place of is gone.
func (r *run) settle(ctx context.Context, dirs []*folder, work *staging) error {
	if err := work.clear(); err != nil {
		return err
	}
	for _, d := range dirs {
		if r.Partial && d.conf.Permissions != nil && !d.unchanged {
			if err := os.Chmod(filepath.Join(r.Dir, d.conf.Path), *d.conf.Permissions); err != nil {
				return err
			}
		}
		for _, c := range d.contents {
			if d.unchanged || c.key == "" {
				continue
			}
			if stamp, ok := r.stamped(ctx, c); ok {
				r.cache.SetNote(treeNotes, r.noteKey(c), treeNote{Config: c.configDigest, Key: c.key, Entry: c.entry, Stamp: stamp})
			}
		}
	}
	return nil
}

// tick is longer than the steps in which a file system's clock goes on Linux, where they are those of the
// kernel's timer.
const tick = 20 * time.Millisecond

// stamped returns the stamp of a content if whatever changes it from now on would lead to another one.
func (r *run) stamped(ctx context.Context, c *content) (string, bool) {
	stamp, last, err := stampOf(ctx, filepath.Join(r.Dir, filepath.FromSlash(c.path)))
	if err != nil || last.IsZero() {
		return "", false
	}
	age := time.Since(last)
	if age < 0 { // another clock
		return "", false
	}
	if age < tick {
		time.Sleep(tick - age)
		again, _, err := stampOf(ctx, filepath.Join(r.Dir, filepath.FromSlash(c.path)))
		if err != nil || again != stamp {
			return "", false
		}
	}
	return stamp, true
}

// stampOf is a digest over the names, modes, sizes, times and inodes of all that is in a folder, and the time
// of the last change of any of it. The time is zero where it can't be told exactly enough.
func stampOf(ctx context.Context, dir string) (string, time.Time, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", time.Time{}, err
	}
	defer root.Close()
	entries, err := filesum.List(ctx, root, ".", filesum.All)
	if err != nil {
		return "", time.Time{}, err
	}
	sum := sha256.New()
	last, exact := int64(0), false
	for i := range entries {
		e := &entries[i]
		switch {
		case e.Mode.IsDir():
			fmt.Fprintf(sum, "%q %v\n", e.Name, e.Mode)
			continue
		case sharedObject(e.Name):
			// Other checkouts that share it change its inode's time.
			fmt.Fprintf(sum, "%q %v %d %d\n", e.Name, e.Mode, e.Size, e.Modified)
			continue
		case e.Inode == 0:
			return "", time.Time{}, errors.New("the system doesn't tell inodes")
		}
		fmt.Fprintf(sum, "%q %v %d %d %d %d %q\n", e.Name, e.Mode, e.Size, e.Modified, e.Changed, e.Inode, e.Link)
		last = max(last, e.Changed)
		exact = exact || e.Changed%int64(time.Second) != 0
	}
	if !exact {
		return hex.EncodeToString(sum.Sum(nil)), time.Time{}, nil
	}
	return hex.EncodeToString(sum.Sum(nil)), time.Unix(0, last), nil
}

// sharedObject tells whether a file is one of git's or hg's own that checkouts share, and that these check the
// content of.
func sharedObject(name string) bool {
	name = "/" + name
	return strings.Contains(name, "/.git/objects/") || strings.Contains(name, "/.hg/store/") ||
		strings.Contains(name, "/.git/modules/") && strings.Contains(name, "/objects/")
}
