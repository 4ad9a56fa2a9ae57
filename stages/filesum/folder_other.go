//go:build !(darwin || freebsd || linux || netbsd || openbsd)

package filesum

import (
	"io/fs"
	"os"
)

// A folder is an open folder. Nothing outside of it is reached.
type folder struct{ root *os.Root }

func openFolder(root *os.Root, dir string) (*folder, error) {
	sub, err := root.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &folder{root: sub}, nil
}

// folder opens a folder in f.
func (f *folder) folder(name string) (*folder, error) { return openFolder(f.root, name) }

func (f *folder) close() { _ = f.root.Close() }

// names lists what is in the folder.
func (f *folder) names() ([]string, error) {
	entries, err := fs.ReadDir(f.root.FS(), ".")
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

// stat tells what a name stands for.
func (f *folder) stat(name string) (status, error) { return statusOf(f.root.Lstat(name)) }

func (f *folder) readlink(name string) (string, error) { return f.root.Readlink(name) }

// open opens a file for reading. The caller must call close.
func (f *folder) open(name string) (*file, error) {
	opened, err := f.root.Open(name)
	return &file{opened}, err
}

type file struct{ *os.File }

func (f *file) stat() (status, error) { return statusOf(f.Stat()) }

func (f *file) close() { _ = f.Close() }

// statusOf leaves the stamp out: there is no time of change in it, so that nothing may be remembered.
func statusOf(info fs.FileInfo, err error) (status, error) {
	if err != nil {
		return status{}, err
	}
	return status{mode: info.Mode(), stamp: stamp{size: info.Size()}}, nil
}
