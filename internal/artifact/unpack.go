package artifact

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// unpack reads the files of a tar archive, compressed or not. It holds everything in memory, within
// bounds. Entries that are neither files nor folders, and names that lead elsewhere, are errors.
func unpack(blob []byte) (map[string][]byte, error) {
	var in io.Reader = bytes.NewReader(blob)
	if bytes.HasPrefix(blob, []byte{0x1f, 0x8b}) {
		zip, err := gzip.NewReader(in)
		if err != nil {
			return nil, err
		}
		defer zip.Close()
		in = zip
	}
	limited := &io.LimitedReader{R: in, N: maxContent + 1}
	archive := tar.NewReader(limited)
	files := map[string][]byte{}
	for entries := 0; ; entries++ {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files, trailing(limited)
		}
		if err != nil {
			return nil, tooMuch(limited, err)
		}
		if entries >= maxFiles {
			return nil, fmt.Errorf("more than %d files", maxFiles)
		}
		switch h.Typeflag {
		case tar.TypeXGlobalHeader, tar.TypeDir:
			continue
		case tar.TypeReg:
		default:
			return nil, fmt.Errorf("entry %q is neither a file nor a folder", h.Name)
		}
		name := path.Clean(strings.TrimPrefix(h.Name, "./"))
		if !fs.ValidPath(name) || name == "." || strings.ContainsAny(name, "\\\x00") {
			return nil, fmt.Errorf("entry %q leads out of the artifact", h.Name)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			return nil, tooMuch(limited, err)
		}
		if _, again := files[name]; again {
			return nil, fmt.Errorf("entry %q is there twice", h.Name)
		}
		files[name] = text
	}
}

// trailing reads what follows the archive, so that damage to its end is noticed.
func trailing(limited *io.LimitedReader) error {
	if _, err := io.Copy(io.Discard, limited); err != nil {
		return err
	}
	return tooMuch(limited, nil)
}

func tooMuch(limited *io.LimitedReader, err error) error {
	if limited.N == 0 {
		return fmt.Errorf("more than %d MiB unpacked", maxContent>>20)
	}
	return err
}
