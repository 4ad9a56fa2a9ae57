package sync

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// exchange lets two paths change places in one step. The error is [errors.ErrUnsupported] where the file
// system can't.
func exchange(a, b string) error {
	err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return errors.ErrUnsupported
	}
	if err != nil {
		return &os.LinkError{Op: "exchange", Old: a, New: b, Err: err}
	}
	return nil
}

// inode is that of a path, of a link itself.
func inode(p string) (uint64, error) {
	info, err := os.Lstat(p)
	if err != nil {
		return 0, err
	}
	return info.Sys().(*syscall.Stat_t).Ino, nil
}
