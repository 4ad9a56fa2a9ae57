//go:build darwin || freebsd || linux || netbsd || openbsd

package filesum

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// A folder is an open folder. Everything in it is reached by its name from here, and no link is
// followed, so that nothing which is renamed or exchanged meanwhile leads elsewhere.
type folder struct{ fd int }

func openFolder(root *os.Root, dir string) (*folder, error) {
	f, err := root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// A handle of its own, without what the os package does for each file.
	return (&folder{fd: int(f.Fd())}).folder(".")
}

// folder opens a folder in f.
func (f *folder) folder(name string) (*folder, error) {
	fd, err := f.openAt(name, unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	return &folder{fd: fd}, nil
}

func (f *folder) openAt(name string, flags int) (fd int, err error) {
	// O_NONBLOCK, as a file may have become a pipe.
	err = retry(func() error {
		fd, err = unix.Openat(f.fd, name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK|flags, 0)
		return err
	})
	return fd, err
}

func (f *folder) close() { _ = unix.Close(f.fd) }

// names lists what is in the folder. It can be called once.
func (f *folder) names() (names []string, err error) {
	block := blocks.Get().(*[blockSize]byte)
	defer blocks.Put(block)
	for {
		var n int
		err := retry(func() (err error) {
			n, err = unix.ReadDirent(f.fd, block[:])
			return err
		})
		if err != nil || n <= 0 {
			return names, err
		}
		_, _, names = unix.ParseDirent(block[:n], -1, names)
	}
}

// stat tells what a name stands for.
func (f *folder) stat(name string) (status, error) {
	var st unix.Stat_t
	err := retry(func() error { return unix.Fstatat(f.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return statusOf(&st), err
}

func (f *folder) readlink(name string) (string, error) {
	for size := 256; ; size *= 2 {
		b := make([]byte, size)
		var n int
		err := retry(func() (err error) {
			n, err = unix.Readlinkat(f.fd, name, b)
			return err
		})
		if err != nil || n < size {
			return string(b[:max(n, 0)]), err
		}
	}
}

// open opens a file for reading. The caller must call close.
func (f *folder) open(name string) (*file, error) {
	fd, err := f.openAt(name, 0)
	return &file{fd: fd}, err
}

type file struct{ fd int }

func (f *file) Read(p []byte) (n int, err error) {
	err = retry(func() error {
		n, err = unix.Read(f.fd, p)
		return err
	})
	if n == 0 && err == nil {
		return 0, io.EOF
	}
	return max(n, 0), err
}

func (f *file) stat() (status, error) {
	var st unix.Stat_t
	err := retry(func() error { return unix.Fstat(f.fd, &st) })
	return statusOf(&st), err
}

func (f *file) close() { _ = unix.Close(f.fd) }

func statusOf(st *unix.Stat_t) status {
	mode := fs.FileMode(st.Mode) & fs.ModePerm
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		mode |= fs.ModeDir
	case unix.S_IFLNK:
		mode |= fs.ModeSymlink
	case unix.S_IFIFO:
		mode |= fs.ModeNamedPipe
	case unix.S_IFSOCK:
		mode |= fs.ModeSocket
	default:
		mode |= fs.ModeDevice
	}
	return status{mode: mode, stamped: true, stamp: stamp{
		size: st.Size, mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano(),
		dev: uint64(st.Dev), //nolint:unconvert // it is an int32 on other systems
		ino: st.Ino, exec: mode&0o100 != 0,
	}}
}

// retry calls again what a signal has interrupted, as the os package does.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
