package confine

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// A Command is a program and all that it may reach.
type Command struct {
	// Program is the executable. It can't be changed by anybody any more.
	Program *Program
	// Args are the arguments; the first is the name by which the program is called.
	Args []string
	// Env is the whole environment.
	Env []string
	// Dir is the working directory, one of the folders below.
	Dir string
	// Read and Write list files and folders, as absolute paths, that the program may read, or read and write.
	// What every program needs is added: the system's programs and libraries, and null devices.
	Read, Write []string
	// Network lets the program use IP.
	Network bool
	Limits  Limits
	// Required makes it an error if this machine can't confine the program wholly.
	Required bool
}

// Limits bound what a program takes.
type Limits struct {
	// Memory is that of one process, in bytes.
	Memory int64
	// Processes counts processes and threads.
	Processes int
	// File is the size of one file, in bytes.
	File int64
}

// A Process is a program that was started. Its end is that of everything that it has started.
type Process struct {
	// Stdin is what the program reads. Closing it is the caller's.
	Stdin io.WriteCloser
	// Stdout and Stderr are what it prints; they end with the program. Closing them is the caller's.
	Stdout, Stderr io.ReadCloser
	// Gaps name what the program is not confined by, as this machine doesn't have it.
	Gaps []string

	end  func()
	stop func(grace time.Duration)
	done chan struct{}
	err  error
}

// Wait waits until the program has ended, and says how, as [os/exec.Cmd.Wait] does.
func (p *Process) Wait() error {
	<-p.done
	return p.err
}

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Kill ends the program and all that it has started, at once.
func (p *Process) Kill() { p.end() }

// Stop asks the program to end, and kills it after the grace.
func (p *Process) Stop(grace time.Duration) { p.stop(grace) }

// ErrUnconfined says that a program was not started because this machine can't confine it.
var ErrUnconfined = errors.New("this machine can't confine it")

func gapsError(gaps []string) error {
	return fmt.Errorf("%w: %s", ErrUnconfined, strings.Join(gaps, "; "))
}
