package confine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// A launch is a way to start a program.
type launch struct {
	// namespace starts it as the first process of a PID namespace: its end is that of all others in it. For
	// users who aren't root it belongs to a user namespace of its own.
	namespace bool
	// trace stops it before its first instruction.
	trace bool
}

// launches are the ways to start a program, the best first.
var launches = []launch{{namespace: true, trace: true}, {namespace: true}, {trace: true}, {}}

// start starts the program in the best way that works here. It tells whether the program is stopped.
func (t *thread) start() (stopped bool, err error) {
	var missing error
	for _, l := range launches {
		if stopped, err = t.launch(l); err == nil {
			t.namespace = l.namespace
			t.gaps = append(t.gaps, t.without(l, missing)...)
			return stopped, nil
		}
		if !lacking(err) {
			break
		}
		if missing == nil {
			missing = err
		}
	}
	return false, t.explain(err)
}

// lacking tells whether an error is one of a machine that lacks something.
func lacking(err error) bool {
	for _, e := range []error{unix.EPERM, unix.ENOSPC, unix.EINVAL, unix.EUSERS, unix.ENOSYS} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// without names what a program that was launched so isn't confined by, and why.
func (t *thread) without(l launch, why error) (gaps []string) {
	reason := "(" + plain(why) + ")"
	if !l.namespace {
		gap := "no PID namespace " + reason + ": "
		if !t.privileged {
			gap = "no user namespace " + reason + ", and so no PID namespace: "
		}
		gap += "what it leaves running in sessions of its own isn't ended with it"
		if !t.signals {
			gap += ", and it can end your processes"
		}
		gaps = append(gaps, gap)
	}
	if !l.trace {
		gaps = append(gaps, "no ptrace "+reason+": limits are set when it runs already")
	}
	return gaps
}

// plain is an error without the name of what is started.
func plain(err error) string {
	if errors.Is(err, unix.ENOSPC) {
		return "the sysctl user.max_user_namespaces or user.max_pid_namespaces allows no more"
	}
	if path, ok := errors.AsType[*os.PathError](err); ok {
		err = path.Err
	}
	return fmt.Sprint(err)
}

func (t *thread) launch(l launch) (stopped bool, err error) {
	// Nobody can make user namespaces in one whose users aren't mapped, such as the one that is made here
	// (user_namespaces(7)). Elsewhere it takes a filter.
	if t.filters && !t.closed && (t.privileged || !l.namespace) {
		if err := install(noUserNamespaces); err != nil {
			return false, err
		}
		t.closed = true
	}
	t.cmd = t.build(l)
	if err := t.cmd.Start(); err != nil || !l.trace {
		return false, err
	}
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(t.cmd.Process.Pid, &status, 0, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	return status.Stopped(), nil
}

func (t *thread) build(l launch) *exec.Cmd {
	c := t.command
	attr := &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL, Ptrace: l.trace}
	if l.namespace {
		attr.Cloneflags = syscall.CLONE_NEWPID
		if !t.privileged {
			// Its user appears as nobody in it, and has no capabilities there that would let it be mapped.
			attr.Cloneflags |= syscall.CLONE_NEWUSER
		}
	}
	return &exec.Cmd{
		Path: fmt.Sprintf("/proc/self/fd/%d", programFD), Args: c.Args, Env: slices.Concat([]string{}, c.Env), Dir: c.Dir,
		Stdin: t.files[0], Stdout: t.files[1], Stderr: t.files[2], ExtraFiles: []*os.File{c.Program.file}, SysProcAttr: attr,
	}
}

// explain names the program instead of the descriptor.
func (t *thread) explain(err error) error {
	path, ok := errors.AsType[*os.PathError](err)
	switch {
	case !ok:
		return err
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%s: its interpreter or loader (the first line of a script) isn't there", t.command.Program.Path)
	case errors.Is(err, unix.ENOEXEC):
		return fmt.Errorf("%s: is no program for this machine, and no script with an interpreter in its first line", t.command.Program.Path)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%s: its interpreter or loader is not one of the system's", t.command.Program.Path)
	}
	return fmt.Errorf("%s: %w", t.command.Program.Path, path.Err)
}
