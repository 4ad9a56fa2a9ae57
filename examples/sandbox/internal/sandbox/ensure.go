package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"strake.dev/strake/examples/sandbox/internal/build"
	"strake.dev/strake/examples/sandbox/internal/component"
	"strake.dev/strake/examples/sandbox/internal/instance"
	"strake.dev/strake/examples/sandbox/internal/proc"
)

// stopGrace is how long a daemon may take to end by itself.
const stopGrace = 10 * time.Second

// daemons are those that a call of Up has seen running.
type daemons struct {
	mu   sync.Mutex
	list []runningDaemon
}

type runningDaemon struct {
	name   string
	record proc.Record
	log    string
	// began is when this call started the daemon; zero if it ran before.
	began time.Time
	// offset is the size that the log had then.
	offset int64
}

func (d *daemons) add(r runningDaemon) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = append(d.list, r)
}

// began returns when this call started a daemon; zero if it ran before.
func (d *daemons) began(name string) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.list {
		if r.name == name {
			return r.began
		}
	}
	return time.Time{}
}

// dead returns a daemon that has ended, if there is one.
func (d *daemons) dead() (runningDaemon, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.list {
		if !r.record.Alive() {
			return r, true
		}
	}
	return runningDaemon{}, false
}

// ensure makes sure that the component runs as described, and waits until it is ready.
func (u *upRun) ensure(ctx context.Context, c component.Component) error {
	dir, err := u.programs.dir(ctx, c.Module)
	if err != nil {
		return err
	}
	daemon := u.daemon(u.Layout, c, dir)
	record, current, err := daemon.Load()
	if err != nil {
		return err
	}
	running := runningDaemon{name: c.Name, record: record, log: daemon.Log}
	if !record.Alive() || !current {
		if running, err = u.start(ctx, c, daemon, record); err != nil {
			return err
		}
	}
	u.daemons.add(running)
	if c.Ready != nil {
		if err := u.await(ctx, &running, c.Ready); err != nil {
			return err
		}
	}
	if !running.began.IsZero() {
		u.Say("%-18s started, ready after %.1fs", c.Name, time.Since(running.began).Seconds())
	}
	return nil
}

// start runs a daemon, after making sure that no old one of it is left.
func (u *upRun) start(ctx context.Context, c component.Component, daemon *proc.Daemon, old proc.Record) (runningDaemon, error) {
	if old.Alive() {
		u.Say("%-18s is to run in another way: restarting it", c.Name)
		if err := old.Stop(ctx, stopGrace); err != nil {
			return runningDaemon{}, err
		}
	}
	if err := killStrays(ctx, daemon); err != nil {
		return runningDaemon{}, err
	}
	for _, use := range c.Ports {
		if port := u.Ports[use]; !instance.PortFree(port) {
			return runningDaemon{}, fmt.Errorf("its port %d is taken by another program; run down, then up, to get other ports", port)
		}
	}
	for _, dir := range c.Dirs {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return runningDaemon{}, err
		}
	}
	for path, content := range c.Files {
		if err := instance.WriteFile(path, []byte(content), 0o600); err != nil {
			return runningDaemon{}, fmt.Errorf("write configuration: %w", err)
		}
	}
	running := runningDaemon{name: c.Name, log: daemon.Log, began: time.Now()}
	if info, err := os.Stat(daemon.Log); err == nil {
		running.offset = info.Size()
	}
	record, err := daemon.Start()
	if err != nil {
		return running, err
	}
	running.record = record
	return running, nil
}

// killStrays ends daemons of the same name whose record was lost: a call that was killed had started
// them, but not yet kept their record. Children of a daemon, as the shims that hold containers, have
// another program and stay.
func killStrays(ctx context.Context, daemon *proc.Daemon) error {
	found, err := proc.Marked(daemon.Marker)
	if err != nil {
		return err
	}
	for _, f := range found {
		if f.Marker == daemon.Marker && filepath.Base(f.Exe) == filepath.Base(daemon.Path) {
			if err := f.Kill(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// ensureKwok asks kwok for the stages that it is to play, and gives it a node.
func (u *upRun) ensureKwok(ctx context.Context) error {
	dir, err := u.programs.dir(ctx, build.Kwok)
	if err != nil {
		return err
	}
	stages, err := exec.CommandContext(ctx, filepath.Join(dir, "kwok"), "stages").Output()
	if err != nil {
		return fmt.Errorf("list stages: %w", err)
	}
	if err := u.createNode(ctx); err != nil {
		return err
	}
	return u.ensure(ctx, component.Kwok(u.Layout, string(stages)))
}

// await asks until ready succeeds. It fails early when a daemon ends, be it the one waited for or one
// that it may depend on; a nil one waits for them all.
func (u *upRun) await(ctx context.Context, waited *runningDaemon, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, u.timeout, errNotReady)
	defer cancel()
	var last error
	for {
		if dead, found := u.daemons.dead(); found {
			return fmt.Errorf("%s ended\n%s", dead.name, tail(dead.log, dead.offset))
		}
		if last = ready(ctx); last == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			err := context.Cause(ctx)
			if !errors.Is(err, errNotReady) {
				return err
			}
			err = fmt.Errorf("%w after %v: %w", err, u.timeout, last)
			if waited != nil {
				err = fmt.Errorf("%w\n%s", err, tail(waited.log, waited.offset))
			}
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

var errNotReady = errors.New("not ready")
