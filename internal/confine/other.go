//go:build !linux

package confine

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// keep copies the executable to a folder of its own.
func (p *Program) keep(r io.Reader) error {
	dir, err := os.MkdirTemp("", "strake-plugin-")
	if err != nil {
		return err
	}
	if p.file, err = os.OpenFile(filepath.Join(dir, filepath.Base(p.Path)), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o500); err != nil {
		return err
	}
	if _, err := io.Copy(p.file, r); err != nil {
		return err
	}
	return p.file.Close()
}

// Close removes the copy.
func (p *Program) Close() error { return os.RemoveAll(filepath.Dir(p.file.Name())) }

// Start starts a program. Nothing confines it.
func Start(c *Command) (*Process, error) {
	gaps := []string{"no confinement on this system: it can do all that you can"}
	if c.Required {
		return nil, gapsError(gaps)
	}
	cmd := &exec.Cmd{Path: c.Program.file.Name(), Args: c.Args, Env: c.Env, Dir: c.Dir}
	p := &Process{Gaps: gaps, done: make(chan struct{})}
	var err error
	if p.Stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if p.Stdout, err = cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	if p.Stderr, err = cmd.StderrPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p.end = func() { _ = cmd.Process.Kill() }
	p.stop = func(time.Duration) { _ = cmd.Process.Kill() }
	go func() {
		state, err := cmd.Process.Wait()
		if err == nil && !state.Success() {
			err = &exec.ExitError{ProcessState: state}
		}
		p.err = err
		close(p.done)
	}()
	return p, nil
}
