package confine

import (
	"os"
	"os/exec"
	"runtime"
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
	group, err := t.limit()
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
	// filters and signals tell whether there is a seccomp filter, and whether Landlock keeps signals in.
	filters, signals bool
	// closed tells whether the thread can't make user namespaces any more.
	closed bool
	// namespace tells whether the program was started in a PID namespace.
	namespace bool
	gaps      []string
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
func (t *thread) giveUp() (err error) {
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
	} else if t.signals, err = restrict(v, c.Read, c.Write, c.Network); err != nil {
		return err
	}
	if auditArch == 0 {
		t.gaps = append(t.gaps, "no seccomp filter for this kind of processor: it can use the network and the sockets of daemons")
		return nil
	}
	if err := install(filter(c.Network, readOnly)); err != nil {
		t.gaps = append(t.gaps, "no seccomp filter ("+err.Error()+"): it can use the network and the sockets of daemons")
		return nil
	}
	t.filters = true
	return nil
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
