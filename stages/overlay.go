package stages

import (
	"bytes"
	"cmp"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"time"
)

// An Overlay changes what is seen of a folder without writing to it: its files are in memory only. A
// step that decrypts gives its files to later steps in this way, so that they are on no disk and in
// nothing that is kept.
type Overlay struct {
	// Files are contents by path. They are seen in place of what the folder has there. Their folders
	// are folders of the tree.
	Files map[string][]byte
	// Hidden are the paths of files that aren't seen any more.
	Hidden map[string]bool
}

// With returns an overlay like o, which may be nil, with another one on top of it.
func (o *Overlay) With(top *Overlay) *Overlay {
	if top == nil {
		return o
	}
	both := &Overlay{Files: map[string][]byte{}, Hidden: map[string]bool{}}
	if o != nil {
		maps.Copy(both.Files, o.Files)
		maps.Copy(both.Hidden, o.Hidden)
	}
	for name := range top.Hidden {
		delete(both.Files, name)
		both.Hidden[name] = true
	}
	for name, content := range top.Files {
		delete(both.Hidden, name)
		both.Files[name] = content
	}
	return both
}

// overlayFS shows a folder with an overlay.
type overlayFS struct {
	base fs.FS
	over *Overlay
}

var (
	_ fs.ReadDirFS  = overlayFS{}
	_ fs.ReadFileFS = overlayFS{}
	_ fs.StatFS     = overlayFS{}
	_ fs.ReadLinkFS = overlayFS{}
)

func (o overlayFS) missing(op, name string) error {
	if o.over.Hidden[name] {
		return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return nil
}

// Open opens a file or folder.
func (o overlayFS) Open(name string) (fs.File, error) {
	if content, ok := o.over.Files[name]; ok {
		return &memFile{memInfo: info(name, content), Reader: bytes.NewReader(content)}, nil
	}
	if err := o.missing("open", name); err != nil {
		return nil, err
	}
	f, err := o.base.Open(name)
	if err != nil {
		return nil, err
	}
	if at, err := f.Stat(); err == nil && at.IsDir() {
		return &overlayDir{File: f, fs: o, name: name}, nil
	}
	return f, nil
}

// overlayDir is a folder that is read.
type overlayDir struct {
	fs.File
	fs   overlayFS
	name string
	read bool
	rest []fs.DirEntry
}

// ReadDir lists the next n entries, or all that are left if n isn't positive.
func (d *overlayDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if !d.read {
		entries, err := d.fs.ReadDir(d.name)
		if err != nil {
			return nil, err
		}
		d.rest, d.read = entries, true
	}
	if n <= 0 || n > len(d.rest) {
		if n > 0 && len(d.rest) == 0 {
			return nil, io.EOF
		}
		n = len(d.rest)
	}
	next := d.rest[:n]
	d.rest = d.rest[n:]
	return next, nil
}

// ReadFile returns the content of a file.
func (o overlayFS) ReadFile(name string) ([]byte, error) {
	if content, ok := o.over.Files[name]; ok {
		return bytes.Clone(content), nil
	}
	if err := o.missing("open", name); err != nil {
		return nil, err
	}
	return fs.ReadFile(o.base, name)
}

// Stat follows symbolic links.
func (o overlayFS) Stat(name string) (fs.FileInfo, error) {
	if content, ok := o.over.Files[name]; ok {
		return info(name, content), nil
	}
	if err := o.missing("stat", name); err != nil {
		return nil, err
	}
	return fs.Stat(o.base, name)
}

// Lstat doesn't follow a symbolic link at the end of the path.
func (o overlayFS) Lstat(name string) (fs.FileInfo, error) {
	if content, ok := o.over.Files[name]; ok {
		return info(name, content), nil
	}
	if err := o.missing("lstat", name); err != nil {
		return nil, err
	}
	return fs.Lstat(o.base, name)
}

// ReadLink returns where a symbolic link leads.
func (o overlayFS) ReadLink(name string) (string, error) { return fs.ReadLink(o.base, name) }

// ReadDir lists a folder, sorted by name.
func (o overlayFS) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(o.base, name)
	if err != nil {
		return nil, err
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		at := path.Join(name, e.Name())
		_, replaced := o.over.Files[at]
		return replaced || o.over.Hidden[at]
	})
	for at, content := range o.over.Files {
		if path.Dir(at) == path.Clean(name) {
			entries = append(entries, fs.FileInfoToDirEntry(info(at, content)))
		}
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return entries, nil
}

// memInfo describes a file in memory.
type memInfo struct {
	name string
	size int64
}

func info(name string, content []byte) memInfo {
	return memInfo{name: path.Base(name), size: int64(len(content))}
}

func (i memInfo) Name() string       { return i.name }
func (i memInfo) Size() int64        { return i.size }
func (i memInfo) Mode() fs.FileMode  { return 0o600 }
func (i memInfo) ModTime() time.Time { return time.Time{} }
func (i memInfo) IsDir() bool        { return false }
func (i memInfo) Sys() any           { return nil }

// memFile is a file in memory that is read.
type memFile struct {
	memInfo
	io.Reader
}

func (f *memFile) Stat() (fs.FileInfo, error) { return f.memInfo, nil }
func (f *memFile) Close() error               { return nil }
