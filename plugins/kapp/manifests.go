package kapp

import (
	"bytes"
	"io"
	"io/fs"
	"time"
)

// manifestsName is how kapp's errors name the manifests.
const manifestsName = "manifests.yaml"

// manifestsFS is a file system that holds the manifests as its only file, so that they need not be
// written to disk for kapp's library.
type manifestsFS []byte

var (
	_ fs.StatFS     = manifestsFS(nil)
	_ fs.ReadFileFS = manifestsFS(nil)
)

// Open opens the manifests.
func (m manifestsFS) Open(name string) (fs.File, error) {
	if name != manifestsName {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return manifestsFile{bytes.NewReader(m), manifestsInfo(len(m))}, nil
}

// Stat describes the manifests.
func (m manifestsFS) Stat(name string) (fs.FileInfo, error) {
	f, err := m.Open(name)
	if err != nil {
		return nil, err
	}
	return f.Stat()
}

// ReadFile returns the manifests.
func (m manifestsFS) ReadFile(name string) ([]byte, error) {
	f, err := m.Open(name)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(f)
}

type manifestsFile struct {
	*bytes.Reader
	info manifestsInfo
}

func (f manifestsFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f manifestsFile) Close() error               { return nil }

// manifestsInfo is the size.
type manifestsInfo int64

func (i manifestsInfo) Name() string       { return manifestsName }
func (i manifestsInfo) Size() int64        { return int64(i) }
func (i manifestsInfo) Mode() fs.FileMode  { return 0o400 }
func (i manifestsInfo) ModTime() time.Time { return time.Time{} }
func (i manifestsInfo) IsDir() bool        { return false }
func (i manifestsInfo) Sys() any           { return nil }
