package vendir

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// killChildren kills all processes that this one has started, and those that they have started. The
// library starts them itself, in this process's own group, so they can't be found by a group.
func killChildren() {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		// PID (NAME) STATE PPID …, and the name may hold anything: proc_pid_stat(5).
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil || len(fields) < 2 {
			continue
		}
		if parent, err := strconv.Atoi(string(fields[1])); err == nil {
			children[parent] = append(children[parent], pid)
		}
	}
	killAll(children, os.Getpid())
}

func killAll(children map[int][]int, parent int) {
	for _, pid := range children[parent] {
		killAll(children, pid)
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}
