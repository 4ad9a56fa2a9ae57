package extension

import (
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// tempPrefix begins the names of folders of calls without a workspace, which would be cleared by the next run.
const tempPrefix = "strake-plugin-"

// newTemp makes a folder that is known to be in use until the returned function is called, or the process is gone,
// however that ends. It removes those that aren't in use any more.
func newTemp() (dir string, release func(), err error) {
	sweep(os.TempDir())
	if dir, err = os.MkdirTemp("", tempPrefix); err != nil {
		return "", nil, err
	}
	lock, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		return "", nil, os.NewSyscallError("flock", err)
	}
	return dir, func() { _ = lock.Close() }, nil
}

// young is how long a folder may be there before it is locked.
const young = time.Minute

// sweep removes what a strake that was killed has left.
func sweep(temp string) {
	found, err := filepath.Glob(filepath.Join(temp, tempPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range found {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || time.Since(info.ModTime()) < young || info.Sys().(*syscall.Stat_t).Uid != uint32(os.Getuid()) {
			continue
		}
		lock, err := os.Open(dir)
		if err != nil {
			continue
		}
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = removeAll(dir) // what can't be removed now may be another time
		}
		_ = lock.Close()
	}
}
