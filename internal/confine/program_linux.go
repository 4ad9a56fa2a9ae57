package confine

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// keep copies the executable into memory that is sealed: nobody, not even root, can change it from then on.
func (p *Program) keep(r io.Reader) error {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate("strake-plugin", flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate("strake-plugin", flags) // kernels before 6.3 don't know MFD_EXEC
	}
	if err != nil {
		return os.NewSyscallError("memfd_create", err)
	}
	p.file = os.NewFile(uintptr(fd), p.Path)
	_, err = io.Copy(p.file, r)
	if err == nil {
		const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
		_, err = unix.FcntlInt(p.file.Fd(), unix.F_ADD_SEALS, seals)
	}
	if err != nil {
		return errors.Join(err, p.file.Close())
	}
	return nil
}

// Close lets go of the executable.
func (p *Program) Close() error { return p.file.Close() }
