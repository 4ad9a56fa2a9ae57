package unpack

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// tarball unpacks a tar stream. With layer, it is a layer of an image, on top of earlier ones.
func (u *Unpacker) tarball(ctx context.Context, r io.Reader, layer bool) error {
	tr := tar.NewReader(r)
	// written are the paths of this layer, which an opaque marker leaves alone.
	written := map[string]bool{}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the tar archive: %w", err)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		name, err := u.clean(h.Name)
		if err != nil {
			return err
		}
		if name == "" {
			if h.Typeflag != tar.TypeDir && u.strip == 0 {
				return &EntryError{Entry: clip(h.Name), Reason: "is the folder itself, and no folder"}
			}
			continue
		}
		if layer {
			done, err := u.whiteout(name, written)
			if err != nil {
				return err
			}
			if done {
				continue
			}
			for p := name; p != "."; p = path.Dir(p) {
				written[p] = true
			}
		}
		if err := u.tarEntry(ctx, h, name, tr); err != nil {
			return err
		}
	}
}

func (u *Unpacker) tarEntry(ctx context.Context, h *tar.Header, name string, content io.Reader) error {
	switch h.Typeflag {
	case tar.TypeDir:
		return u.folder(name)
	case tar.TypeReg, tar.TypeGNUSparse:
		return u.file(ctx, name, h.FileInfo().Mode(), content)
	case tar.TypeSymlink:
		return u.symlink(name, h.Linkname)
	case tar.TypeLink:
		u.entries-- // the target's path is not an entry
		target, err := u.clean(h.Linkname)
		if err != nil || target == "" {
			return &EntryError{Entry: name, Reason: fmt.Sprintf("is a hard link to %s, which leads out of the folder", clip(h.Linkname))}
		}
		return u.hardlink(name, target)
	case tar.TypeChar, tar.TypeBlock:
		return &EntryError{Entry: name, Reason: "is a device"}
	case tar.TypeFifo:
		return &EntryError{Entry: name, Reason: "is a named pipe"}
	default:
		return &EntryError{Entry: name, Reason: fmt.Sprintf("is of the unknown type %q", h.Typeflag)}
	}
}

// The markers by which a layer removes what earlier layers have:
// https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts
const (
	whiteoutPrefix = ".wh."
	whiteoutOpaque = ".wh..wh..opq"
)

// whiteout does what a marker says, and tells whether the entry was one.
func (u *Unpacker) whiteout(name string, written map[string]bool) (bool, error) {
	dir, base := path.Split(name)
	if !strings.HasPrefix(base, whiteoutPrefix) {
		return false, nil
	}
	dir = path.Clean(dir)
	if base == whiteoutOpaque {
		return true, u.clear(dir, written)
	}
	gone := strings.TrimPrefix(base, whiteoutPrefix)
	if gone == "" || gone == "." || gone == ".." {
		return true, &EntryError{Entry: name, Reason: "removes nothing that a layer may remove"}
	}
	// Where the folder is not there, there is nothing to remove.
	if _, err := u.out.Stat(dir); err != nil {
		return true, u.notThere(name, err)
	}
	return true, u.explain(name, u.out.RemoveAll(path.Join(dir, gone)))
}
