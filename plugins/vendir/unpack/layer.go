package unpack

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/klauspost/compress/zstd"
)

// Layer unpacks one layer of an image on top of the earlier ones: a tar archive, plain or packed by
// gzip or zstd, whose markers remove what earlier layers have. f is read from its beginning.
func (u *Unpacker) Layer(ctx context.Context, f *os.File) error {
	if err := u.begin(f); err != nil {
		return err
	}
	r, err := decompressed(f)
	if err != nil {
		return err
	}
	defer r.Close()
	return u.tarball(ctx, r, true)
}

// begin counts the size of a packed file, and goes to its start.
func (u *Unpacker) begin(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	u.packed += info.Size()
	_, err = f.Seek(0, io.SeekStart)
	return err
}

// maxWindow bounds, in bytes, the memory that a zstd frame may ask for.
const maxWindow = 128 << 20

// decompressed returns the content of r, told by its first bytes.
func decompressed(r io.Reader) (io.ReadCloser, error) {
	br := bufio.NewReaderSize(r, 64<<10)
	magic, err := br.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		gz, err := gzip.NewReader(br)
		if err != nil {
			return nil, fmt.Errorf("reading gzip data: %w", err)
		}
		return gz, nil
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		zr, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, fmt.Errorf("reading zstd data: %w", err)
		}
		return zr.IOReadCloser(), nil
	default:
		return io.NopCloser(br), nil
	}
}

// clear removes from a folder all that this layer hasn't written.
func (u *Unpacker) clear(dir string, written map[string]bool) error {
	f, err := u.out.Open(dir)
	if err != nil {
		return u.notThere(dir, err)
	}
	entries, err := f.ReadDir(-1)
	f.Close()
	if err != nil {
		return u.explain(dir, err)
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		switch {
		case !written[name]:
			err = u.out.RemoveAll(name)
		case e.IsDir():
			err = u.clear(name, written)
		}
		if err != nil {
			return u.explain(name, err)
		}
	}
	return nil
}

// notThere passes over what isn't there.
func (u *Unpacker) notThere(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return u.explain(name, err)
}
