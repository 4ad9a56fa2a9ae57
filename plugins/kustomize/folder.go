package kustomize

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"strake.dev/strake/stages"
)

// top is where kustomize sees the App's folder. It is no folder of the machine.
const top = "/@app"

var errReadOnly = errors.New("the App's folder can't be written to")

// A folder shows the App's folder, and nothing else, to kustomize. Every kustomization is looked at
// before kustomize sees it, because kustomize itself would run git or ask a web server for what is
// remote.
type folder struct {
	ctx   context.Context
	files fs.FS
	// target is the folder to build.
	target string
	// stream are the manifests so far, nil if there are none that are resources.
	stream []byte

	mu    sync.Mutex
	first error
}

func newFolder(ctx context.Context, files fs.FS, dir string) *folder {
	return &folder{ctx: ctx, files: files, target: path.Join(top, filepath.ToSlash(dir))}
}

// refused returns the first thing that was not let through.
func (f *folder) refused() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.first
}

func (f *folder) refuse(err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.first == nil {
		f.first = err
	}
	return err
}

// rel returns a path of kustomize's as one of the App's folder.
func (f *folder) rel(name string) (string, error) {
	if err := f.ctx.Err(); err != nil {
		return "", err
	}
	clean := path.Clean(name)
	if clean == top {
		return ".", nil
	}
	rel, ok := strings.CutPrefix(clean, top+"/")
	if !ok {
		return "", f.refuse(stages.WithHint(fmt.Errorf("%s: leads out of the App's folder", name),
			"bring what is needed into the App's folder, with a fetch entry of its own"))
	}
	return rel, nil
}

// streamName is the path of the manifests so far, a file that only kustomize sees.
func (f *folder) streamName() string { return path.Join(f.target, streamFile) }

func (f *folder) stat(name string) (fs.FileInfo, error) {
	rel, err := f.rel(name)
	if err != nil {
		return nil, err
	}
	return fs.Stat(f.files, rel)
}

// ReadFile returns the content of a file, with a kustomization's in the form that suits this folder.
func (f *folder) ReadFile(name string) ([]byte, error) {
	if f.stream != nil && path.Clean(name) == f.streamName() {
		return f.stream, nil
	}
	rel, err := f.rel(name)
	if err != nil {
		return nil, err
	}
	if f.IsDir(name) {
		return nil, fmt.Errorf("'%s' must resolve to a file", path.Clean(name))
	}
	data, err := fs.ReadFile(f.files, rel)
	if err != nil {
		return nil, err
	}
	if err := checkLocal(rel, data); err != nil {
		return nil, f.refuse(err)
	}
	if f.stream != nil && path.Dir(path.Clean(name)) == f.target && slices.Contains(konfig.RecognizedKustomizationFileNames(), path.Base(rel)) {
		return withResource(data)
	}
	return data, nil
}

// CleanedAbs divides a path into a folder and, if it is one, a file.
func (f *folder) CleanedAbs(name string) (filesys.ConfirmedDir, string, error) {
	clean := path.Clean(name)
	info, err := f.stat(clean)
	switch {
	case err != nil && f.stream != nil && clean == f.streamName():
		return filesys.ConfirmedDir(path.Dir(clean)), path.Base(clean), nil
	case err != nil:
		return "", "", err
	case info.IsDir():
		return filesys.ConfirmedDir(clean), "", nil
	}
	return filesys.ConfirmedDir(path.Dir(clean)), path.Base(clean), nil
}

// IsDir tells whether a path is that of a folder.
func (f *folder) IsDir(name string) bool {
	info, err := f.stat(name)
	return err == nil && info.IsDir()
}

// Exists tells whether there is something at a path.
func (f *folder) Exists(name string) bool {
	_, err := f.stat(name)
	return err == nil
}

// ReadDir lists the names in a folder.
func (f *folder) ReadDir(name string) ([]string, error) {
	rel, err := f.rel(name)
	if err != nil {
		return nil, err
	}
	entries, err := fs.ReadDir(f.files, rel)
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// Glob lists the paths that match a pattern.
func (f *folder) Glob(pattern string) ([]string, error) {
	rel, err := f.rel(pattern)
	if err != nil {
		return nil, err
	}
	found, err := fs.Glob(f.files, rel)
	for i, name := range found {
		found[i] = path.Join(top, name)
	}
	return found, err
}

// Walk visits everything below a path.
func (f *folder) Walk(name string, visit filepath.WalkFunc) error {
	rel, err := f.rel(name)
	if err != nil {
		return err
	}
	return fs.WalkDir(f.files, rel, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return visit(path.Join(top, p), nil, err)
		}
		info, err := e.Info()
		return visit(path.Join(top, p), info, err)
	})
}

// Open is not used to build.
func (f *folder) Open(string) (filesys.File, error) { return nil, errReadOnly }

// Create fails, as everything that writes.
func (f *folder) Create(string) (filesys.File, error) { return nil, errReadOnly }

// Mkdir fails, as everything that writes.
func (f *folder) Mkdir(string) error { return errReadOnly }

// MkdirAll fails, as everything that writes.
func (f *folder) MkdirAll(string) error { return errReadOnly }

// RemoveAll fails, as everything that writes.
func (f *folder) RemoveAll(string) error { return errReadOnly }

// WriteFile fails, as everything that writes.
func (f *folder) WriteFile(string, []byte) error { return errReadOnly }
