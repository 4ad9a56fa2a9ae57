package confine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
)

// A Program is an executable that was read once. What is run is what was read, whatever becomes of the file.
type Program struct {
	// Path is where it was read from.
	Path string
	// Digest is that of its content, in the form sha256:….
	Digest string

	// file is the copy that is run.
	file *os.File
}

// maxProgram is the largest executable that is taken, in bytes.
const maxProgram = 1 << 30

// Open reads an executable. The caller must call Close.
func Open(path string) (_ *Program, err error) {
	source, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	info, err := source.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: expected an executable file, found %s", path, info.Mode().Type())
	case info.Mode()&0o111 == 0:
		return nil, fmt.Errorf("%s: is not executable", path)
	case info.Size() > maxProgram:
		return nil, fmt.Errorf("%s: has %d bytes, expected at most %d", path, info.Size(), maxProgram)
	}
	p := &Program{Path: path}
	sum := sha256.New()
	if err := p.keep(io.TeeReader(io.LimitReader(source, maxProgram), sum)); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	p.Digest = "sha256:" + hex.EncodeToString(sum.Sum(nil))
	return p, nil
}
