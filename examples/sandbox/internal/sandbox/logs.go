package sandbox

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
)

const (
	// tailLines is how many of a log's last lines are shown with an error.
	tailLines = 20
	// tailBytes bounds what is read of a log for that.
	tailBytes = 64 << 10
)

// tail returns the last lines of a log from offset on, indented.
func tail(path string, offset int64) string {
	data, err := readEnd(path, offset)
	if err != nil {
		return "  (no log: " + err.Error() + ")"
	}
	lines := strings.Split(string(bytes.TrimSpace(data)), "\n")
	lines = lines[max(0, len(lines)-tailLines):]
	return "  last lines of " + path + ":\n    " + strings.Join(lines, "\n    ")
}

// readEnd reads a file from offset on, but not more than its last tailBytes.
func readEnd(path string, offset int64) (data []byte, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() < offset {
		offset = 0
	}
	if _, err := file.Seek(max(offset, info.Size()-tailBytes), io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(file, tailBytes))
}
