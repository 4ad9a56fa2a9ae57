package child

import (
	"os/exec"
	"syscall"
)

// contain gives a command a session of its own, without a terminal that it could wait at, has all of
// it killed when its context ends, and has it killed when strake dies.
func contain(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
