package buildkit

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// ArchiveDigest returns the digest of the image that a tar archive of an OCI layout has under a tag,
// if everything that belongs to it is there. It is empty when there is no such image, or no file.
func ArchiveDigest(file, tag string) (string, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	digest, err := archiveDigest(f, tag)
	if err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	return digest, nil
}

func archiveDigest(f io.ReadSeeker, tag string) (string, error) {
	found := archived{}
	var index []byte
	r := tar.NewReader(f)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", fmt.Errorf("expected a tar archive of an OCI layout: %w", err)
		}
		name := path.Clean(h.Name)
		switch {
		case h.Typeflag != tar.TypeReg:
		case name == indexFile:
			if index, err = io.ReadAll(io.LimitReader(r, maxIndex)); err != nil {
				return "", err
			}
		default:
			at, err := f.Seek(0, io.SeekCurrent)
			if err != nil {
				return "", err
			}
			found[name] = section{at: at, size: h.Size, f: f}
		}
	}
	if index == nil {
		return "", errors.New("expected a tar archive of an OCI layout, found no index.json in it")
	}
	return wholeIn(found, index, tag, indexFile)
}

// archived are the files of an archive.
type archived map[string]section

type section struct {
	at, size int64
	f        io.ReadSeeker
}

func (a archived) size(h v1.Hash) (int64, error) {
	s, ok := a[blobPath("", h)]
	if !ok {
		return 0, fs.ErrNotExist
	}
	return s.size, nil
}

func (a archived) open(h v1.Hash) (io.ReadCloser, error) {
	s, ok := a[blobPath("", h)]
	if !ok {
		return nil, fs.ErrNotExist
	}
	if _, err := s.f.Seek(s.at, io.SeekStart); err != nil {
		return nil, err
	}
	return io.NopCloser(io.LimitReader(s.f, s.size)), nil
}

// archive writes the image as a tar archive of an OCI layout, whole or not at all. Equal images make
// equal archives.
func (f *fetched) archive(ctx context.Context, file, tag string) error {
	index, err := f.index(tag)
	if err != nil {
		return err
	}
	return replaceFile(filepath.Dir(file), file, func(w io.Writer) error {
		t := tar.NewWriter(w)
		for _, small := range []struct{ name, text string }{{layoutFile, layoutVersion}, {indexFile, string(index)}} {
			if err := addFile(t, small.name, int64(len(small.text)), strings.NewReader(small.text)); err != nil {
				return err
			}
		}
		for _, b := range f.blobs {
			r, err := f.open(b.Digest)
			if err != nil {
				return err
			}
			err = addFile(t, blobPath("", b.Digest), b.Size, ctxReader{ctx, r})
			r.Close()
			if err != nil {
				return err
			}
		}
		return t.Close()
	})
}

func addFile(t *tar.Writer, name string, size int64, r io.Reader) error {
	if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: modeFile}); err != nil {
		return err
	}
	_, err := io.Copy(t, r)
	return err
}
