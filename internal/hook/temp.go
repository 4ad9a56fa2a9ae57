package hook

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
)

// lockSuffix is what the locks of folders for temporary files end with.
const lockSuffix = ".lock"

// Temp returns a folder for a call's temporary files, which the caller removes by done. Those of calls
// that were killed are removed first.
func (t *Turns) Temp() (dir string, done func(), err error) {
	all := filepath.Join(filepath.Dir(t.dir), "temp")
	if err := os.MkdirAll(all, 0o700); err != nil {
		return "", nil, err
	}
	sweep(all)
	const tries = 10
	for range tries {
		file, err := os.CreateTemp(all, "*"+lockSuffix)
		if err != nil {
			return "", nil, err
		}
		_ = file.Close()
		lock := flock.New(file.Name())
		// Another process may just be looking whether it is an old one.
		if ok, err := lock.TryLock(); err != nil || !ok {
			continue
		}
		dir := strings.TrimSuffix(file.Name(), lockSuffix)
		// Nobody removes it while the lock is held, unless that was gone before.
		err = os.Mkdir(dir, 0o700)
		if _, gone := os.Stat(file.Name()); err != nil || gone != nil {
			_ = errors.Join(os.RemoveAll(dir), lock.Close())
			continue
		}
		return dir, func() { _ = errors.Join(os.RemoveAll(dir), os.Remove(file.Name()), lock.Close()) }, nil
	}
	return "", nil, fmt.Errorf("%s: no folder for temporary files can be made", all)
}

// sweep removes the folders that nobody has a lock of any more.
func sweep(all string) {
	locks, err := filepath.Glob(filepath.Join(all, "*"+lockSuffix))
	if err != nil {
		return
	}
	for _, name := range locks {
		lock := flock.New(name)
		if ok, err := lock.TryLock(); err == nil && ok {
			_ = errors.Join(os.RemoveAll(strings.TrimSuffix(name, lockSuffix)), os.Remove(name))
		}
		_ = lock.Close()
	}
}
