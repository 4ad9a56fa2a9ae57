package filesum

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"slices"
	"sync"
	"time"
)

// An Entry is a file, folder, link, or something else that a folder may hold.
type Entry struct {
	// Name is the slash-separated path.
	Name string
	// Mode has the type and the permissions.
	Mode fs.FileMode
	// Size is that of a regular file, in bytes.
	Size int64
	// Link is where a symbolic link leads.
	Link string
	// Sum is the SHA-256 of a regular file's content.
	Sum [sha256.Size]byte
	// Modified and Changed are when the content, and when anything of it, has last changed, in nanoseconds
	// since 1970. They and Inode are 0 on systems that don't tell all of them.
	Modified, Changed int64
	Inode             uint64
}

// Executable tells whether the owner may execute a file.
func (e *Entry) Executable() bool { return e.Mode&0o100 != 0 }

// A Filter says for an entry of a folder whether to list it and, for a folder, with which filter to go
// on below it; nil leaves out all that is below. Filters are called concurrently.
type Filter func(name string, dir bool) (keep bool, below Filter, err error)

// All is the filter that keeps everything.
func All(string, bool) (bool, Filter, error) { return true, All, nil }

// List lists what is below a folder of root, in the order of a walk: sorted by name, the content of a
// folder right after it. Names count from the folder. A folder that the filter doesn't keep is listed
// all the same if something below it is kept, and is left out without an error if it can't be read.
// What disappears meanwhile is left out too. Several folders are looked at at once. No file is read,
// and entries have no digests.
func List(ctx context.Context, root *os.Root, dir string, filter Filter) ([]Entry, error) {
	return (&scanner{}).run(ctx, root, dir, filter)
}

// Scan lists as List does, with digests. The names of sums, which may be nil, count from the folder.
func Scan(ctx context.Context, root *os.Root, dir string, sums *Cache, filter Filter) ([]Entry, error) {
	return (&scanner{sums: sums, digests: true}).run(ctx, root, dir, filter)
}

// Stat returns the entry for one name in root.
func Stat(ctx context.Context, root *os.Root, name string, sums *Cache) (Entry, error) {
	f, err := openFolder(root, path.Dir(name))
	if err != nil {
		return Entry{}, err
	}
	defer f.close()
	n := &node{entry: Entry{Name: name}}
	if err := n.look(ctx, f, path.Base(name), All, true, find(sums.folder(path.Dir(name)), path.Base(name))); err != nil {
		return Entry{}, err
	}
	if !n.listed {
		return Entry{}, &fs.PathError{Op: "lstat", Path: name, Err: fs.ErrNotExist}
	}
	return n.entry, nil
}

// A status is what the file system tells of a file without reading it.
type status struct {
	mode fs.FileMode
	stamp
	// stamped is set if the stamp is complete.
	stamped bool
}

const blockSize = 64 << 10 // bytes

var blocks = sync.Pool{New: func() any { return new([blockSize]byte) }}

type scanner struct {
	ctx     context.Context
	stop    context.CancelCauseFunc
	sums    *Cache
	digests bool
	// idle has room for each further goroutine.
	idle chan struct{}
}

func (s *scanner) run(ctx context.Context, root *os.Root, dir string, filter Filter) ([]Entry, error) {
	f, err := openFolder(root, dir)
	if err != nil {
		return nil, err
	}
	// More than there are processors, as some wait for the disk.
	s.idle = make(chan struct{}, 2*runtime.GOMAXPROCS(0)-1)
	s.ctx, s.stop = context.WithCancelCause(ctx)
	defer s.stop(nil)
	nodes := s.folder(f, ".", filter)
	if err := cmp.Or(ctx.Err(), context.Cause(s.ctx)); err != nil {
		return nil, err
	}
	return flatten(make([]Entry, 0, count(nodes)), nodes), nil
}

// A node is an entry that is being looked at.
type node struct {
	entry    Entry
	keep     bool
	below    Filter
	children []node
	// listed is set for what is kept, and for a folder with such below it.
	listed bool
	// known is what is remembered of the file now; fresh that it wasn't before.
	known *record
	fresh bool
}

// each calls do for the numbers below n, in pieces; other goroutines take over some if they are idle.
func (s *scanner) each(n, piece int, do func(i int) error) {
	var wg sync.WaitGroup
	for from := 0; from < n; from += piece {
		to := min(from+piece, n)
		work := func() {
			for i := from; i < to && s.ctx.Err() == nil; i++ {
				if err := do(i); err != nil {
					s.stop(err)
				}
			}
		}
		if to == n { // nothing is left for this goroutine otherwise
			work()
			break
		}
		select {
		case s.idle <- struct{}{}:
			wg.Go(func() {
				defer func() { <-s.idle }()
				work()
			})
		default:
			work()
		}
	}
	wg.Wait()
}

// folder lists a folder and what is below it, and closes it.
func (s *scanner) folder(f *folder, dir string, filter Filter) []node {
	defer f.close()
	names, err := f.names()
	if err != nil {
		s.stop(&fs.PathError{Op: "read folder", Path: dir, Err: err})
		return nil
	}
	slices.Sort(names)
	records := s.sums.folder(dir)
	nodes := make([]node, len(names))
	const piece = 128 // so many that handing them over is worth it
	s.each(len(names), piece, func(i int) error {
		nodes[i].entry.Name = join(dir, names[i])
		return nodes[i].look(s.ctx, f, names[i], filter, s.digests, find(records, names[i]))
	})
	if s.ctx.Err() != nil {
		return nil
	}
	s.remember(dir, names, nodes)

	var folders []int
	for i := range nodes {
		if nodes[i].below != nil {
			folders = append(folders, i)
		}
	}
	s.each(len(folders), 1, func(i int) error {
		n := &nodes[folders[i]]
		sub, err := f.folder(names[folders[i]])
		switch {
		case errors.Is(err, fs.ErrNotExist):
			n.listed = false
			return nil
		case errors.Is(err, fs.ErrPermission) && !n.keep:
			return nil
		case err != nil:
			return &fs.PathError{Op: "open", Path: n.entry.Name, Err: err}
		}
		n.children = s.folder(sub, n.entry.Name, n.below)
		n.listed = n.keep || slices.ContainsFunc(n.children, func(c node) bool { return c.listed })
		return nil
	})
	return nodes
}

// look finds out what a name stands for, and digests it if need be. What has disappeared isn't listed.
func (n *node) look(ctx context.Context, f *folder, name string, filter Filter, digests bool, known *record) error {
	at, err := f.stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &fs.PathError{Op: "lstat", Path: n.entry.Name, Err: err}
	}
	n.entry.Mode = at.mode
	n.entry.Size = at.size
	if at.stamped {
		n.entry.Modified, n.entry.Changed, n.entry.Inode = at.mtime, at.ctime, at.ino
	}
	if n.keep, n.below, err = filter(n.entry.Name, at.mode.IsDir()); err != nil {
		return err
	}
	if !at.mode.IsDir() {
		n.below = nil
	}
	switch {
	case !n.keep:
		n.known = known // another filter may want it
	case at.mode&fs.ModeSymlink != 0:
		n.entry.Link, err = f.readlink(name)
	case !at.mode.IsRegular() || !digests:
	case known != nil && at.stamped && known.stamp == at.stamp:
		n.entry.Sum, n.known = known.sum, known
	default:
		err = n.read(ctx, f, name)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil && ctx.Err() == nil:
		return &fs.PathError{Op: "read", Path: n.entry.Name, Err: err}
	}
	n.listed = n.keep
	return err
}

// read digests a file.
func (n *node) read(ctx context.Context, f *folder, name string) error {
	now := time.Now()
	opened, err := f.open(name)
	if err != nil {
		return err
	}
	defer opened.close()
	before, err := opened.stat()
	if err != nil {
		return err
	}
	if !before.mode.IsRegular() {
		return errors.New("is no longer a file")
	}
	n.entry.Mode = before.mode
	if n.entry.Size, n.entry.Sum, err = digest(ctx, opened); err != nil {
		return err
	}
	after, err := opened.stat()
	if err != nil {
		return err
	}
	if before.stamped && after.stamp == before.stamp && n.entry.Size == before.size && before.settled(now) {
		n.known, n.fresh = &record{name: name, stamp: before.stamp, sum: n.entry.Sum}, true
	}
	return nil
}

func digest(ctx context.Context, r io.Reader) (size int64, sum [sha256.Size]byte, err error) {
	block := blocks.Get().(*[blockSize]byte)
	defer blocks.Put(block)
	h := sha256.New()
	for {
		if err := ctx.Err(); err != nil {
			return 0, sum, err
		}
		n, err := r.Read(block[:])
		size += int64(n)
		h.Write(block[:n])
		if errors.Is(err, io.EOF) {
			h.Sum(sum[:0])
			return size, sum, nil
		}
		if err != nil {
			return 0, sum, err
		}
	}
}

// remember hands what is known of a folder's files to the cache.
func (s *scanner) remember(dir string, names []string, nodes []node) {
	if s.sums == nil {
		return
	}
	var folders []string
	changed := false
	for i := range nodes {
		if nodes[i].entry.Mode.IsDir() {
			folders = append(folders, names[i])
		}
		changed = changed || nodes[i].fresh
	}
	var records []record
	if changed {
		for i := range nodes {
			if r := nodes[i].known; r != nil {
				records = append(records, *r)
			}
		}
	}
	s.sums.visited(dir, folders, records, changed)
}

func count(nodes []node) int {
	sum := 0
	for i := range nodes {
		if n := &nodes[i]; n.listed {
			sum += 1 + count(n.children)
		}
	}
	return sum
}

func flatten(to []Entry, nodes []node) []Entry {
	for i := range nodes {
		if n := &nodes[i]; n.listed {
			to = flatten(append(to, n.entry), n.children)
		}
	}
	return to
}
