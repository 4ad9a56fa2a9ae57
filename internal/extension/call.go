package extension

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"strake.dev/strake/internal/confine"
	"strake.dev/strake/internal/render"
	"strake.dev/strake/stages"
)

// A Call is one run of an executable.
type Call struct {
	// Ref is the executable.
	Ref    Ref
	Config *Config
	Job    *stages.Job
	// Args follow the program's name.
	Args []string
	// Env is set besides what the configuration names, as NAME=VALUE.
	Env []string
	// Sources lets the App's folder be read.
	Sources bool
	// Out, if not empty, is the folder that results go to, instead of a temporary one.
	Out string
	// Manifests, if not nil, are in a file that may be read.
	Manifests []byte
}

// A Session is a call that is under way.
type Session struct {
	// Stdin is what the executable reads. Writing to it may block until it does.
	Stdin io.WriteCloser
	// Stdout is what it prints, up to the limit.
	Stdout io.Reader
	// Out and Temp are the folders that it can write to, Manifests the file of the call's manifests, and Sources
	// the App's folder.
	Out, Temp, Manifests, Sources string

	call    *Call
	process *confine.Process
	top     string
	stop    context.CancelFunc
	// release lets others remove the folders.
	release func()
	cause   func() error
	watched sync.WaitGroup
	// last is the last line that it has printed as an error.
	last string
}

// grace is how long an executable may take to end once it was asked to.
const grace = time.Second

// lingering is how long an executable may take to end once it has said all that it had to.
const lingering = 5 * time.Second

// Start starts an executable that is allowed, and the one that the lock has. The caller must call Close.
func (h *Host) Start(ctx context.Context, c *Call) (_ *Session, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	program, err := h.admit(c.Ref, c.Job)
	if err != nil {
		return nil, err
	}
	s := &Session{call: c}
	if err := s.prepare(); err != nil {
		return nil, err
	}
	command, err := s.command(program, h.Required)
	if err == nil {
		s.process, err = confine.Start(command)
	}
	if err != nil {
		err = errors.Join(err, os.RemoveAll(s.top))
		s.release()
		return nil, s.refused(err)
	}
	h.warn(c.Ref, s.process.Gaps, c.Job)
	s.Stdin = s.process.Stdin
	s.Stdout = s.process.Stdout
	s.watch(ctx)
	return s, nil
}

func (s *Session) refused(err error) error {
	if errors.Is(err, confine.ErrUnconfined) {
		return stages.WithHint(&stages.RefusedError{Reasons: []string{fmt.Sprintf("plugin %s: %v", s.call.Ref, err)}},
			"run it where the kernel has what is missing, or with --plugin-sandbox auto if you trust it as a program of your own")
	}
	return fmt.Errorf("plugin %s: %w", s.call.Ref, err)
}

// prepare makes the folders of the call.
func (s *Session) prepare() (err error) {
	if s.call.Job.Temp == "" {
		s.top, s.release, err = newTemp()
	} else {
		s.release = func() {}
		s.top, err = os.MkdirTemp(s.call.Job.Temp, "plugin-")
	}
	if err != nil {
		return err
	}
	if s.top, err = filepath.Abs(s.top); err != nil {
		return err
	}
	s.Temp, s.Out = filepath.Join(s.top, "temp"), filepath.Join(s.top, "out")
	for _, dir := range []string{s.Temp, s.Out} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	if s.call.Out != "" {
		if s.Out, err = filepath.Abs(s.call.Out); err != nil {
			return err
		}
	}
	if s.call.Manifests != nil {
		s.Manifests = filepath.Join(s.top, "manifests.yaml")
		return os.WriteFile(s.Manifests, s.call.Manifests, 0o400)
	}
	return nil
}

func (s *Session) command(program *confine.Program, required bool) (*confine.Command, error) {
	config := s.call.Config
	memory, err := size(config.MaxMemory)
	if err != nil {
		return nil, err
	}
	output, err := size(config.MaxOutput)
	if err != nil {
		return nil, err
	}
	env, err := config.environment(s.Temp, s.call.Job.Hide)
	if err != nil {
		return nil, err
	}
	c := &confine.Command{
		Program: program, Args: append([]string{filepath.Base(program.Path)}, s.call.Args...), Env: append(env, s.call.Env...), Dir: s.Temp,
		Write: []string{s.Temp, s.Out}, Network: config.Network, Required: required,
		Limits: confine.Limits{Memory: memory, Processes: config.MaxProcesses, File: output},
	}
	if s.Manifests != "" {
		c.Read = append(c.Read, s.Manifests)
	}
	if s.call.Sources && s.call.Job.Sources != nil {
		if s.Sources, err = filepath.Abs(s.call.Job.Sources.Dir()); err != nil {
			return nil, err
		}
		paths := config.Read
		if len(paths) == 0 {
			paths = []string{"."}
		}
		for _, p := range paths {
			path, err := s.call.Job.Sources.Path(p)
			if err != nil {
				return nil, fmt.Errorf("read: %w", err)
			}
			if path, err = filepath.Abs(path); err != nil {
				return nil, err
			}
			c.Read = append(c.Read, path)
		}
	}
	return c, nil
}

// reserved are the variables that are always set.
var reserved = []string{"PATH", "HOME", "TMPDIR", "LANG", "PWD", "STRAKE_PLUGIN_PROTOCOL"}

// environment is all that an executable gets of strake's.
func (c *Config) environment(temp string, hide func([]byte)) ([]string, error) {
	env := []string{
		"PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin", "HOME=" + temp, "TMPDIR=" + temp, "LANG=C.UTF-8",
	}
	for _, name := range c.Env {
		value, ok := os.LookupEnv(name)
		if !ok {
			return nil, stages.WithHint(fmt.Errorf("env: %s isn't set", name), "set it, or take it from the list")
		}
		hide([]byte(value))
		env = append(env, name+"="+value)
	}
	return env, nil
}

// watch ends the executable when the context does, when its time is over, or when it writes too much; and logs
// what it prints as errors.
func (s *Session) watch(ctx context.Context) {
	inner, cancel := context.WithCancelCause(ctx)
	timed, stop := context.WithTimeoutCause(inner, s.call.Config.Timeout, fmt.Errorf("took longer than its timeout of %s", s.call.Config.Timeout))
	s.stop = stop
	s.cause = func() error { return context.Cause(timed) }
	output, _ := size(s.call.Config.MaxOutput) // command has read it
	s.Stdout = &bounded{r: s.Stdout, left: output, over: func() {
		cancel(fmt.Errorf("printed more than %s (maxOutput)", s.call.Config.MaxOutput))
	}}
	s.watched.Go(func() {
		s.watchFiles(timed, output, func() { cancel(fmt.Errorf("wrote more than %s (maxOutput)", s.call.Config.MaxOutput)) })
	})
	s.watched.Go(func() {
		select {
		case <-s.process.Done():
		case <-timed.Done():
			s.process.Stop(grace)
			<-s.process.Done()
		}
		// Without a PID namespace, something that it has left behind may hold the pipes.
		for _, pipe := range []any{s.process.Stdout, s.process.Stderr} {
			if p, ok := pipe.(interface{ SetReadDeadline(time.Time) error }); ok {
				_ = p.SetReadDeadline(time.Now().Add(grace))
			}
		}
	})
	s.watched.Go(func() {
		s.log(&bounded{r: s.process.Stderr, left: output, over: func() {
			cancel(fmt.Errorf("printed more than %s of errors (maxOutput)", s.call.Config.MaxOutput))
		}})
	})
}

// The lines that are logged for one call, and their length in bytes.
const (
	maxLogLines = 10_000
	maxLogLine  = 4096
)

// log logs lines. It goes on reading when it logs no more, so that the executable doesn't wait.
func (s *Session) log(r io.Reader) {
	lines := bufio.NewReaderSize(r, maxLogLine)
	for n := 0; ; {
		line, long, err := lines.ReadLine()
		for long && err == nil {
			_, long, err = lines.ReadLine()
		}
		if text := render.Line(string(line)); text != "" {
			s.last = text
			if n++; n <= maxLogLines {
				stages.Log(s.call.Job.Events, text)
			}
			if n == maxLogLines {
				stages.Warn(s.call.Job.Events, fmt.Sprintf("plugin %s: only the first %d lines of what it prints are shown", s.call.Ref, maxLogLines))
			}
		}
		if err != nil {
			return
		}
	}
}

// End waits until the executable has ended, and says what was wrong with that, if anything: nil means that it has
// ended by itself, in time, with the exit code 0.
func (s *Session) End() error {
	late := false
	select {
	case <-s.process.Done():
	case <-time.After(lingering):
		late = true
		s.process.Kill()
	}
	err := s.process.Wait()
	s.watched.Wait()
	if cause := s.cause(); cause != nil {
		return cause
	}
	if late {
		return fmt.Errorf("didn't end within %s of its result", lingering)
	}
	if err != nil && s.last != "" {
		return fmt.Errorf("%w: %s", err, s.last)
	}
	return err
}

// Why returns why the executable was ended before it was done, nil if it wasn't.
func (s *Session) Why() error { return s.cause() }

// Close ends the executable if it is still there, and removes its folders.
func (s *Session) Close() error {
	s.process.Kill()
	_ = s.process.Wait() // it was killed
	_ = s.process.Stdin.Close()
	s.stop()
	s.watched.Wait()
	_ = s.process.Stdout.Close()
	_ = s.process.Stderr.Close()
	defer s.release()
	return removeAll(s.top)
}
