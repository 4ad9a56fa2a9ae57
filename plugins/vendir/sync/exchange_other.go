//go:build !linux

package sync

import (
	"errors"
	"os"
)

func exchange(string, string) error { return errors.ErrUnsupported }

func inode(p string) (uint64, error) {
	_, err := os.Lstat(p)
	return 0, err
}
