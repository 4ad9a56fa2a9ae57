package confine

import "golang.org/x/sys/unix"

const (
	auditArch = unix.AUDIT_ARCH_X86_64
	// x32Bit is set in the numbers of another set of system calls, that of x32.
	x32Bit = 0x40000000
)

// chmodCalls change modes, owners and attributes by path.
var chmodCalls = []uint32{
	unix.SYS_CHMOD, unix.SYS_FCHMODAT, unix.SYS_FCHMODAT2, unix.SYS_CHOWN, unix.SYS_LCHOWN, unix.SYS_FCHOWNAT,
	unix.SYS_SETXATTR, unix.SYS_LSETXATTR, unix.SYS_REMOVEXATTR, unix.SYS_LREMOVEXATTR,
}

// callInstruction is “syscall”.
var callInstruction = []byte{0x0f, 0x05}

// places are where a process is in its program, and the end of its stack.
func places(r unix.PtraceRegs) (pc, sp uint64) { return r.Rip, r.Rsp }

// prepareCall sets the registers for a system call.
func prepareCall(r *unix.PtraceRegs, number, a, b, c uint64) {
	const none = ^uint64(0) // no call is to be begun again
	r.Rax, r.Orig_rax, r.Rdi, r.Rsi, r.Rdx = number, none, a, b, c
}

// callResult is what a system call has returned: below zero an error.
func callResult(r unix.PtraceRegs) int64 { return int64(r.Rax) }
