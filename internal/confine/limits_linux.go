package confine

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// openFiles is how many files a program may have open.
const openFiles = 1024

// limit bounds what a process that hasn't run yet can take. The error is what isn't bounded.
func (t *thread) limit() (*group, error) {
	pid, l := t.pid(), &t.command.Limits
	processes := uint64(l.Processes)
	if !t.namespace {
		// Without a user namespace of its own, all processes of the user count.
		processes += running(os.Getuid())
	}
	for _, r := range []struct {
		resource int
		most     uint64
	}{
		// Data is what a process has of its own and can write; address space that is only reserved doesn't count.
		{unix.RLIMIT_DATA, uint64(l.Memory)},
		{unix.RLIMIT_FSIZE, uint64(l.File)},
		{unix.RLIMIT_NPROC, processes},
		{unix.RLIMIT_NOFILE, openFiles},
		{unix.RLIMIT_CORE, 0},
	} {
		var now unix.Rlimit
		if err := unix.Prlimit(pid, r.resource, nil, &now); err != nil {
			return nil, fmt.Errorf("no limits of memory and files (%w)", err)
		}
		most := min(r.most, now.Max)
		if err := unix.Prlimit(pid, r.resource, &unix.Rlimit{Cur: most, Max: most}, nil); err != nil {
			return nil, fmt.Errorf("no limits of memory and files (%w)", err)
		}
	}
	if !t.privileged {
		return nil, nil
	}
	// RLIMIT_NPROC doesn't count root's processes.
	g, err := newGroup(pid, l.Processes)
	if err != nil {
		return nil, fmt.Errorf("no limit of processes (%w)", err)
	}
	return g, nil
}

// running counts the processes and threads of a user.
func running(uid int) (n uint64) {
	all, err := filepath.Glob("/proc/[0-9]*/task/[0-9]*")
	if err != nil {
		return 0
	}
	for _, task := range all {
		var stat unix.Stat_t
		if unix.Stat(task, &stat) == nil && int(stat.Uid) == uid {
			n++
		}
	}
	return n
}
