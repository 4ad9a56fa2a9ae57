package confine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// programFD is the descriptor that a program finds itself at.
const programFD = 3

// Start starts a program, confined as far as this machine can.
func Start(c *Command) (_ *Process, err error) {
	p := &Process{done: make(chan struct{})}
	var pipes [6]*os.File
	for i := 0; i < len(pipes); i += 2 {
		if pipes[i], pipes[i+1], err = os.Pipe(); err != nil {
			closeAll(pipes[:])
			return nil, err
		}
	}
	own := []*os.File{pipes[1], pipes[2], pipes[4]}
	its := []*os.File{pipes[0], pipes[3], pipes[5]}
	p.Stdin, p.Stdout, p.Stderr = own[0], own[1], own[2]

	t := &thread{command: c, files: its, started: make(chan error), release: make(chan struct{}), ended: make(chan struct{})}
	go t.run()
	err = <-t.started
	closeAll(its)
	if err != nil {
		closeAll(own)
		return nil, err
	}
	p.end, p.stop = t.kill, t.stop
	group, err := limit(t.pid(), &c.Limits, t.privileged)
	if err != nil {
		t.gaps = append(t.gaps, err.Error())
	}
	if p.Gaps = t.gaps; c.Required && len(p.Gaps) > 0 {
		t.kill()
		err = gapsError(p.Gaps)
	} else {
		err = nil
	}
	close(t.release)
	go func() {
		<-t.ended
		group.remove()
		p.err = t.err
		close(p.done)
	}()
	if err != nil {
		<-p.done
		closeAll(own)
		return nil, err
	}
	return p, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}

// A thread is the one that a program is started from. It ends with the program, as it has given up what it had.
type thread struct {
	command *Command
	files   []*os.File
	cmd     *exec.Cmd
	// privileged tells whether it has the rights of root that confining takes.
	privileged bool
	gaps       []string
	// started gets one value: when the program is there, but has not run yet, or why it isn't.
	started chan error
	// release is closed when the program may run.
	release chan struct{}
	// ended is closed when the program has, and err is set.
	ended chan struct{}
	err   error
}

func (t *thread) run() {
	// Never unlocked: Go ends the thread with the goroutine.
	runtime.LockOSThread()
	defer close(t.ended)
	if err := t.giveUp(); err != nil {
		t.started <- err
		return
	}
	stopped, err := t.start()
	t.started <- err
	if err != nil {
		return
	}
	<-t.release
	if stopped {
		_ = unix.PtraceDetach(t.cmd.Process.Pid) // if it is gone, Wait says how
	}
	t.err = t.cmd.Wait()
	// Without a PID namespace this ends at least those that are in its session.
	_ = syscall.Kill(-t.cmd.Process.Pid, syscall.SIGKILL)
}

// giveUp takes everything from the thread that the program isn't to have. What the kernel lacks becomes a gap.
func (t *thread) giveUp() error {
	c := t.command
	t.privileged = hasCapability(unix.CAP_SYS_ADMIN) && hasCapability(unix.CAP_SETPCAP)
	readOnly := false
	if t.privileged {
		if err := mountReadOnly(c.Write); err != nil {
			t.gaps = append(t.gaps, "no mount namespace ("+err.Error()+"): modes of files elsewhere can be changed")
		} else {
			readOnly = true
		}
	}
	if err := dropCapabilities(); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("no_new_privs", err)
	}
	if v := landlockVersion(); v == 0 {
		t.gaps = append(t.gaps, "no Landlock in the kernel: it can read all that you can read, and write what you can write")
	} else if err := restrict(v, c.Read, c.Write, c.Network); err != nil {
		return err
	}
	if auditArch == 0 {
		t.gaps = append(t.gaps, "no seccomp filter for this kind of processor: it can use the network and the sockets of daemons")
		return nil
	}
	if err := install(filter(c.Network, readOnly)); err != nil {
		t.gaps = append(t.gaps, "no seccomp filter ("+err.Error()+"): it can use the network and the sockets of daemons")
	}
	return nil
}

// start starts the program with the most that works here. It tells whether the program is stopped before its
// first instruction.
func (t *thread) start() (stopped bool, err error) {
	for _, try := range []struct {
		namespace, trace bool
		gap              string
	}{
		{true, true, ""},
		{true, false, "no ptrace: limits are set when it runs already"},
		{false, false, "no PID namespace: what it leaves running in sessions of its own isn't ended with it"},
	} {
		t.cmd = t.build(try.namespace, try.trace)
		err = t.cmd.Start()
		if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EUSERS) {
			if try.gap != "" {
				t.gaps = append(t.gaps, try.gap)
			}
			stopped = try.trace
			break
		}
	}
	if err != nil || !stopped {
		return false, t.explain(err)
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

func (t *thread) build(namespace, trace bool) *exec.Cmd {
	c := t.command
	attr := &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL, Ptrace: trace}
	if namespace {
		attr.Cloneflags = syscall.CLONE_NEWPID
		if !t.privileged {
			// Its user appears as nobody in it.
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

func (t *thread) pid() int { return t.cmd.Process.Pid }

func (t *thread) kill() { t.signal(syscall.SIGKILL) }

// signal reaches the program and its session, as long as it hasn't ended.
func (t *thread) signal(s syscall.Signal) {
	select {
	case <-t.ended:
	default:
		_ = syscall.Kill(-t.pid(), s)
		_ = t.cmd.Process.Signal(s)
	}
}

func (t *thread) stop(grace time.Duration) {
	t.signal(syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-t.ended:
	case <-timer.C:
		t.kill()
	}
}
