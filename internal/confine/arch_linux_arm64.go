package confine

import "golang.org/x/sys/unix"

const (
	auditArch = unix.AUDIT_ARCH_AARCH64
	x32Bit    = 0
)

// chmodCalls change modes, owners and attributes by path.
var chmodCalls = []uint32{
	unix.SYS_FCHMODAT, unix.SYS_FCHMODAT2, unix.SYS_FCHOWNAT,
	unix.SYS_SETXATTR, unix.SYS_LSETXATTR, unix.SYS_REMOVEXATTR, unix.SYS_LREMOVEXATTR,
}

// callInstruction is “svc #0”.
var callInstruction = []byte{0x01, 0x00, 0x00, 0xd4}

// places are where a process is in its program, and the end of its stack.
func places(r unix.PtraceRegs) (pc, sp uint64) { return r.Pc, r.Sp }

// prepareCall sets the registers for a system call.
func prepareCall(r *unix.PtraceRegs, number, a, b, c uint64) {
	r.Regs[8], r.Regs[0], r.Regs[1], r.Regs[2] = number, a, b, c
}

// callResult is what a system call has returned: below zero an error.
func callResult(r unix.PtraceRegs) int64 { return int64(r.Regs[0]) }
