//go:build unix

package kbld

import (
	"os/exec"
	"syscall"
	"time"
)

// contain makes a command the head of a process group, without a terminal that it could wait at. When
// its context ends, all of the group is told to end, and made to if it doesn't. After the command, done
// ends what is left of the group.
func contain(cmd *exec.Cmd) (done func()) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	end := func(s syscall.Signal) error { return syscall.Kill(-cmd.Process.Pid, s) }
	kill := time.AfterFunc(time.Duration(1<<63-1), func() { _ = end(syscall.SIGKILL) })
	cmd.Cancel = func() error {
		kill.Reset(toolGrace)
		return end(syscall.SIGTERM)
	}
	return func() {
		kill.Stop()
		_ = end(syscall.SIGKILL)
	}
}

// endGroup ends this process and all others of its group, if it is the head of one.
func endGroup() {
	if pid := syscall.Getpid(); pid == syscall.Getpgrp() {
		_ = syscall.Kill(-pid, syscall.SIGKILL)
	}
}
