package instance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Lock keeps other calls from changing the instance until release is called. It waits for a holder
// until ctx ends, calling waiting once before it does. The kernel drops the lock of a process that
// dies.
func (i *Instance) Lock(ctx context.Context, waiting func()) (release func(), err error) {
	return LockFile(ctx, i.lockFile(), waiting)
}

// RemoveLock removes the lock file of an instance without a folder. The caller holds the lock; whoever
// waits for it makes a new file.
func (i *Instance) RemoveLock() error {
	if _, err := os.Stat(i.Dir); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := os.Remove(i.lockFile()); err != nil {
		return fmt.Errorf("remove lock file: %w", err)
	}
	return nil
}

func (i *Instance) lockFile() string { return i.Dir + ".lock" }

// LockMachine keeps other instances of this machine from choosing ports and networks until release
// is called.
func LockMachine(ctx context.Context) (release func(), err error) {
	return LockFile(ctx, filepath.Join(runRoot(), "lock"), func() {})
}

// LockFile takes the exclusive advisory lock of a file, which it makes if it must. The holder may
// remove the file before releasing it.
func LockFile(ctx context.Context, path string, waiting func()) (release func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make lock file: %w", err)
	}
	for first := true; ; first = false {
		file, err := tryLock(path)
		if err != nil {
			return nil, err
		}
		if file != nil {
			return func() { _ = file.Close() }, nil
		}
		if first {
			waiting()
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for another call to release %s: %w", path, context.Cause(ctx))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// tryLock returns the locked file, or nil if another process has it.
func tryLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, file.Close()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
	}
	// The last holder may have removed the file after it was opened here: its lock means nothing then.
	mine, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if now, err := os.Stat(path); err != nil || !os.SameFile(mine, now) {
		return nil, file.Close()
	}
	return file, nil
}
