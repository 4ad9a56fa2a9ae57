package confine

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// openFiles is how many files a program may have open.
const openFiles = 1024

// limit bounds what a process that hasn't run yet can take. The error is what isn't bounded.
func limit(pid int, l *Limits, privileged bool) (*group, error) {
	for _, r := range []struct {
		resource int
		most     uint64
	}{
		// Data is what a process has of its own and can write; address space that is only reserved doesn't count.
		{unix.RLIMIT_DATA, uint64(l.Memory)},
		{unix.RLIMIT_FSIZE, uint64(l.File)},
		{unix.RLIMIT_NPROC, uint64(l.Processes)},
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
	if !privileged {
		return nil, nil // in a user namespace of its own, RLIMIT_NPROC counts only the program's processes
	}
	// RLIMIT_NPROC doesn't count root's processes.
	g, err := newGroup(pid, l.Processes)
	if err != nil {
		return nil, fmt.Errorf("no limit of processes (%w)", err)
	}
	return g, nil
}
