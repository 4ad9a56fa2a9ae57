package images

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// A layer writes the files of an image layer. Only names, modes and contents go into it, so that
// equal files give an equal digest. The first error sticks, and is what close returns.
type layer struct {
	file *os.File
	gzip *gzip.Writer
	tar  *tar.Writer
	err  error
}

// newLayer starts a layer in a temporary file of the folder.
func newLayer(dir string) (*layer, error) {
	file, err := os.CreateTemp(dir, "layer-*.tar.gz")
	if err != nil {
		return nil, fmt.Errorf("make layer: %w", err)
	}
	// Speed counts: the layer travels over loopback only.
	zip, err := gzip.NewWriterLevel(file, gzip.BestSpeed)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &layer{file: file, gzip: zip, tar: tar.NewWriter(zip)}, nil
}

func (l *layer) header(h tar.Header) {
	if l.err == nil {
		h.Format = tar.FormatPAX
		l.err = l.tar.WriteHeader(&h)
	}
}

// dir adds a folder. Its parents are added by whoever cares for their modes.
func (l *layer) dir(name string, mode int64) {
	l.header(tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode})
}

func (l *layer) link(name, target string) {
	l.header(tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777})
}

func (l *layer) content(name string, mode int64, data []byte) {
	l.header(tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(data))})
	if l.err == nil {
		_, l.err = l.tar.Write(data)
	}
}

// copy adds a file of this machine. All that stays of its mode is whether it can be run.
func (l *layer) copy(name, source string) {
	if l.err != nil {
		return
	}
	file, err := os.Open(source)
	if err != nil {
		l.err = err
		return
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		l.err = err
		return
	}
	mode := int64(0o644)
	if info.Mode()&0o111 != 0 {
		mode = 0o755
	}
	l.header(tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: info.Size()})
	if l.err == nil {
		_, l.err = io.Copy(l.tar, file)
	}
}

// tree adds the folder source as name, except what skip names, by its path in source.
func (l *layer) tree(name, source string, skip func(path string, dir bool) bool) {
	if l.err != nil {
		return
	}
	// WalkDir goes in lexical order, the same everywhere.
	l.err = filepath.WalkDir(source, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(source, file)
		if err != nil {
			return err
		}
		relative = filepath.ToSlash(relative)
		switch {
		case relative != "." && skip(relative, entry.IsDir()):
			if entry.IsDir() {
				return fs.SkipDir
			}
		case entry.IsDir():
			l.dir(path.Join(name, relative), 0o755)
		case entry.Type().IsRegular():
			l.copy(path.Join(name, relative), file)
		}
		return l.err
	})
}

// close ends the layer. Its file must stay where it is as long as the result is read.
func (l *layer) close() (v1.Layer, error) {
	if err := errors.Join(l.err, l.tar.Close(), l.gzip.Close(), l.file.Close()); err != nil {
		return nil, fmt.Errorf("write layer: %w", err)
	}
	return tarball.LayerFromFile(l.file.Name())
}
