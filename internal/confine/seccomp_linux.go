package confine

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The parts of a seccomp filter (https://docs.kernel.org/userspace-api/seccomp_filter.html): offsets of the data
// that it looks at, on little-endian machines.
const (
	dataNumber = 0
	dataArch   = 4
	dataArg0   = 16

	answerAllow = 0x7fff0000
	answerErrno = 0x00050000
	answerKill  = 0x80000000
)

const (
	load    = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	same    = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	atLeast = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	anyBit  = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
	answer  = unix.BPF_RET | unix.BPF_K
)

// refused are system calls that reach past the file system and IP, or widen the kernel's surface, and that
// templates and fetchers don't need: other users' keys, tracing, more namespaces, and io_uring, whose operations
// a filter doesn't see.
var refused = []uint32{
	unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD,
	unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PIDFD_GETFD,
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_OPEN_TREE, unix.SYS_MOVE_MOUNT, unix.SYS_FSOPEN, unix.SYS_MOUNT_SETATTR,
	unix.SYS_KEXEC_LOAD, unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_REBOOT, unix.SYS_SWAPON, unix.SYS_SWAPOFF,
	unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME, unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_CLOCK_ADJTIME, unix.SYS_ADJTIMEX,
	unix.SYS_ACCT, unix.SYS_QUOTACTL, unix.SYS_SYSLOG, unix.SYS_OPEN_BY_HANDLE_AT,
	// System V's IPC and POSIX queues need no file, and outlive the process.
	unix.SYS_SHMGET, unix.SYS_SEMGET, unix.SYS_MSGGET, unix.SYS_MQ_OPEN,
}

// absent are system calls that are answered as by a kernel that doesn't have them: libraries then use older ones.
var absent = []uint32{unix.SYS_IO_URING_SETUP, unix.SYS_CLONE3}

// filter is the program of the filter. chmod tells whether modes and owners may be changed by path.
func filter(network, chmod bool) []unix.SockFilter {
	f := []unix.SockFilter{
		{Code: load, K: dataArch},
		{Code: same, K: auditArch, Jt: 1},
		{Code: answer, K: answerKill},
		{Code: load, K: dataNumber},
	}
	if x32Bit != 0 {
		f = append(f, unix.SockFilter{Code: atLeast, K: x32Bit, Jf: 1}, unix.SockFilter{Code: answer, K: answerKill})
	}
	deny := func(calls []uint32, errno unix.Errno) {
		for _, nr := range calls {
			f = append(f, unix.SockFilter{Code: same, K: nr, Jf: 1}, unix.SockFilter{Code: answer, K: answerErrno | uint32(errno)})
		}
	}
	deny(refused, unix.EPERM)
	deny(absent, unix.ENOSYS)
	if !chmod {
		deny(chmodCalls, unix.EPERM)
	}
	// Unix sockets lead to daemons of the machine, whose files Landlock doesn't keep from being connected to.
	var domains []uint32
	if network {
		domains = []uint32{unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK}
	}
	f = append(f, unix.SockFilter{Code: same, K: unix.SYS_SOCKET, Jf: uint8(2 + 2*len(domains))}, unix.SockFilter{Code: load, K: dataArg0})
	for _, d := range domains {
		f = append(f, unix.SockFilter{Code: same, K: d, Jf: 1}, unix.SockFilter{Code: answer, K: answerAllow})
	}
	return append(f,
		unix.SockFilter{Code: answer, K: answerErrno | uint32(unix.EACCES)},
		unix.SockFilter{Code: answer, K: answerAllow},
	)
}

// noUserNamespaces is a filter of its own, besides that of [filter], which has looked at the architecture: a new user
// namespace has all capabilities in it.
var noUserNamespaces = []unix.SockFilter{
	{Code: load, K: dataNumber},
	{Code: same, K: unix.SYS_CLONE, Jf: 3},
	{Code: load, K: dataArg0},
	{Code: anyBit, K: unix.CLONE_NEWUSER, Jf: 1},
	{Code: answer, K: answerErrno | uint32(unix.EPERM)},
	{Code: answer, K: answerAllow},
}

// install puts a filter on the calling thread, which must have given up new privileges.
func install(f []unix.SockFilter) error {
	program := unix.SockFprog{Len: uint16(len(f)), Filter: &f[0]}
	_, _, errno := unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return os.NewSyscallError("seccomp", errno)
	}
	return nil
}
