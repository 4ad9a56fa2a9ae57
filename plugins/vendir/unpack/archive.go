package unpack

import (
	"archive/tar"
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// The kinds of content that Archive tells apart.
const (
	Plain = "plain file"
	Zip   = "zip archive"
	Tar   = "tar archive"
	Tgz   = "tar archive packed by gzip"
)

// Detect tells what a file is by its content, not by its name: an archive if it begins like one, as
// vendir has it.
func Detect(f *os.File) (string, error) {
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if _, err := zip.NewReader(f, info.Size()); err == nil || errors.Is(err, zip.ErrInsecurePath) {
		return Zip, nil
	}
	for _, kind := range []string{Tar, Tgz} {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return "", err
		}
		if beginsAsTar(f, kind) {
			return kind, nil
		}
	}
	return Plain, nil
}

func beginsAsTar(f io.Reader, kind string) bool {
	if kind == Tgz {
		r, err := decompressed(f)
		if err != nil {
			return false
		}
		defer r.Close()
		f = r
	}
	_, err := tar.NewReader(f).Next()
	return err == nil || errors.Is(err, tar.ErrInsecurePath)
}

// Archive unpacks a file: a zip, tar or tgz archive, or, being none of them, a plain file that gets
// the name plain. An empty plain means that the file has to be an archive.
func (u *Unpacker) Archive(ctx context.Context, f *os.File, plain string) error {
	kind, err := Detect(f)
	if err != nil {
		return err
	}
	if err := u.begin(f); err != nil {
		return err
	}
	switch kind {
	case Zip:
		return u.zip(ctx, f)
	case Tar, Tgz:
		r, err := decompressed(f)
		if err != nil {
			return err
		}
		defer r.Close()
		return u.tarball(ctx, r, false)
	}
	if plain == "" {
		return errors.New("is no zip, tar or tgz archive")
	}
	return u.plain(ctx, f, plain)
}

// Plain copies a file, whatever it holds.
func (u *Unpacker) Plain(ctx context.Context, f *os.File, name string) error {
	if err := u.begin(f); err != nil {
		return err
	}
	return u.plain(ctx, f, name)
}

func (u *Unpacker) plain(ctx context.Context, f *os.File, name string) error {
	name, err := u.clean(name)
	if err != nil {
		return err
	}
	return u.file(ctx, name, 0o644, f)
}

func (u *Unpacker) zip(ctx context.Context, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	zr, err := zip.NewReader(f, info.Size())
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return fmt.Errorf("reading the zip archive: %w", err)
	}
	for _, e := range zr.File {
		if err := ctx.Err(); err != nil {
			return err
		}
		name, err := u.clean(e.Name)
		if err != nil {
			return err
		}
		if name == "" {
			continue
		}
		if err := u.zipEntry(ctx, e, name); err != nil {
			return err
		}
	}
	return nil
}

func (u *Unpacker) zipEntry(ctx context.Context, e *zip.File, name string) error {
	mode := e.Mode()
	switch {
	case mode.IsDir():
		return u.folder(name)
	case mode&fs.ModeSymlink != 0, mode.IsRegular():
	case mode&fs.ModeDevice != 0:
		return &EntryError{Entry: name, Reason: "is a device"}
	case mode&fs.ModeNamedPipe != 0:
		return &EntryError{Entry: name, Reason: "is a named pipe"}
	case mode&fs.ModeSocket != 0:
		return &EntryError{Entry: name, Reason: "is a socket"}
	default:
		return &EntryError{Entry: name, Reason: "is neither a file, a folder nor a link"}
	}
	content, err := e.Open()
	if err != nil {
		return fmt.Errorf("entry %q: %w", name, err)
	}
	defer content.Close()
	if mode.IsRegular() {
		return u.file(ctx, name, mode, content)
	}
	target, err := io.ReadAll(io.LimitReader(content, int64(u.limits.Name)+1))
	if err != nil {
		return fmt.Errorf("entry %q: %w", name, err)
	}
	return u.symlink(name, string(target))
}
