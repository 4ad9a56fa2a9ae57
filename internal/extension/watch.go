package extension

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"strake.dev/strake/stages"
)

// bounded reads no more than is left, and tells when there would have been more.
type bounded struct {
	r    io.Reader
	left int64
	over func()
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		b.over()
		return 0, io.EOF
	}
	return n, err
}

// watchFiles looks from time to time whether the files have become too large together.
func (s *Session) watchFiles(ctx context.Context, most int64, over func()) {
	const often = 100 * time.Millisecond
	for wait := often; ; {
		select {
		case <-ctx.Done():
			return
		case <-s.process.Done():
			return
		case <-time.After(wait):
		}
		began := time.Now()
		if used(s.Temp)+used(s.Out) > most {
			over()
			return
		}
		// Many files take a while: looking costs at most a tenth of the time.
		wait = max(often, 9*time.Since(began))
	}
}

// used is how much the files of a folder take on the disk, as far as they can be seen.
func used(dir string) (sum int64) {
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // files come and go meanwhile
		}
		const entry = 512 // bytes that a name takes at least
		sum += entry
		if info, err := e.Info(); err == nil {
			sum += onDisk(info)
		}
		return nil
	})
	return sum
}

// removeAll removes a folder whatever modes its folders were given.
func removeAll(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	_ = fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, _ error) error {
		if e != nil && e.IsDir() {
			_ = root.Chmod(name, 0o700)
		}
		return nil
	})
	return errors.Join(root.Close(), os.RemoveAll(dir))
}

// CheckOut makes sure that a folder which an executable has written holds nothing but files, folders and links that
// stay in it, without rights that files take from their owner.
func CheckOut(tree *stages.Tree) error {
	err := fs.WalkDir(tree.Root().FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		switch mode := info.Mode(); {
		case err != nil:
			return err
		case mode&(fs.ModeSetuid|fs.ModeSetgid) != 0 && !mode.IsDir():
			return fmt.Errorf("%s: has the mode %s, which gives whoever runs it the rights of its owner", name, mode)
		case !mode.IsRegular() && !mode.IsDir() && mode&fs.ModeSymlink == 0:
			return fmt.Errorf("%s: neither a file, a folder nor a link", name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return tree.CheckLinks()
}
