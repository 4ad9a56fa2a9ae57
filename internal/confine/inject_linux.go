package confine

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// inject puts a filter on a process that the calling thread traces, and that is stopped before its first
// instruction: it is made to call prctl by itself, and knows nothing of it afterwards. That is the only way to have
// a process with less than the thread that it was started from, without a program of strake's own between the two.
func inject(pid int, filter []unix.SockFilter) error {
	before, err := registers(pid)
	if err != nil {
		return err
	}
	pc, sp := places(before)
	const below = 4096 // bytes below the stack, which is larger than that from the start
	at := (sp - below) &^ 15
	// The filter lies behind the struct sock_fprog that leads to it.
	program := struct {
		length uint16
		_      [6]byte
		filter uint64
	}{length: uint16(len(filter)), filter: at + 16}
	data := append(bytesOf(&program, 1), bytesOf(&filter[0], len(filter))...)
	if _, err := unix.PtracePokeData(pid, uintptr(at), data); err != nil {
		return os.NewSyscallError("ptrace", err)
	}
	code := make([]byte, len(callInstruction))
	if _, err := unix.PtracePeekText(pid, uintptr(pc), code); err != nil {
		return os.NewSyscallError("ptrace", err)
	}
	if _, err := unix.PtracePokeText(pid, uintptr(pc), callInstruction); err != nil {
		return os.NewSyscallError("ptrace", err)
	}
	during := before
	prepareCall(&during, unix.SYS_PRCTL, unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, at)
	if err := setRegisters(pid, during); err != nil {
		return err
	}
	if err := step(pid); err != nil {
		return err
	}
	after, err := registers(pid)
	if err != nil {
		return err
	}
	if result := callResult(after); result != 0 {
		return fmt.Errorf("seccomp: %w", unix.Errno(-result))
	}
	_, err = unix.PtracePokeText(pid, uintptr(pc), code)
	_, zeroErr := unix.PtracePokeData(pid, uintptr(at), make([]byte, len(data)))
	return errors.Join(err, zeroErr, setRegisters(pid, before))
}

// step lets a process execute one instruction.
func step(pid int) error {
	if err := unix.PtraceSingleStep(pid); err != nil {
		return os.NewSyscallError("ptrace", err)
	}
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(pid, &status, 0, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return os.NewSyscallError("wait4", err)
		}
		if !status.Stopped() || status.StopSignal() != unix.SIGTRAP {
			return fmt.Errorf("it has not made a step (status %#x)", uint32(status))
		}
		return nil
	}
}

func registers(pid int) (r unix.PtraceRegs, err error) {
	return r, registerSet(unix.PTRACE_GETREGSET, pid, &r)
}

func setRegisters(pid int, r unix.PtraceRegs) error {
	return registerSet(unix.PTRACE_SETREGSET, pid, &r)
}

func registerSet(request, pid int, r *unix.PtraceRegs) error {
	vec := unix.Iovec{Base: (*byte)(unsafe.Pointer(r))}
	vec.SetLen(int(unsafe.Sizeof(*r)))
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, uintptr(request), uintptr(pid), unix.NT_PRSTATUS, uintptr(unsafe.Pointer(&vec)), 0, 0)
	if errno != 0 {
		return os.NewSyscallError("ptrace", errno)
	}
	return nil
}

// bytesOf are the bytes of a number of values.
func bytesOf[T any](first *T, n int) []byte {
	size := n * int(unsafe.Sizeof(*first))
	return append([]byte{}, unsafe.Slice((*byte)(unsafe.Pointer(first)), size)...)
}
