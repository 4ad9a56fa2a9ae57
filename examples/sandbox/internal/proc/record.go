// Package proc starts daemons that outlive the program, recognises them later, and stops them.
//
// A process id alone is reused by the kernel, so a daemon is recognised by its id, the time it was
// started and the boot it was started in, and is signalled only through a descriptor of that very
// process.
package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Record identifies one process for ever.
type Record struct {
	PID int `json:"pid"`
	// Started counts clock ticks from boot to the process's start.
	Started uint64 `json:"started"`
	Boot    string `json:"boot"`
}

// errGone says that a process is not, or is not any more, the one recorded.
var errGone = errors.New("process has ended")

// Identify returns the record of a live process.
func Identify(pid int) (Record, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Record{}, fmt.Errorf("read boot id: %w", err)
	}
	started, err := startTime(pid)
	if err != nil {
		return Record{}, err
	}
	return Record{PID: pid, Started: started, Boot: strings.TrimSpace(string(boot))}, nil
}

// startTime returns when a process was started. One that has ended and waits for its parent to
// collect it counts as gone, once its last thread has ended too: until then its files are open, and
// its ports with them.
func startTime(pid int) (uint64, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("process %d: %w", pid, errGone)
	}
	// The second field is the program's name in parentheses and may hold anything, so count from its
	// end: the state is field 3, the number of threads field 20 and the start time field 22 of proc(5).
	_, rest, found := bytes.Cut(stat[max(0, bytes.LastIndexByte(stat, ')')):], []byte(") "))
	fields := bytes.Fields(rest)
	if !found || len(fields) < 20 {
		return 0, fmt.Errorf("process %d: /proc stat is not understood", pid)
	}
	state, threads := fields[0][0], string(fields[17])
	if state == 'X' || state == 'Z' && (threads == "0" || threads == "1") {
		return 0, fmt.Errorf("process %d: %w", pid, errGone)
	}
	started, err := strconv.ParseUint(string(fields[19]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("process %d: start time: %w", pid, err)
	}
	return started, nil
}

// Alive tells whether the recorded process, and no other with its id, still runs.
func (r Record) Alive() bool {
	if r.PID <= 0 {
		return false
	}
	now, err := Identify(r.PID)
	return err == nil && now == r
}

// Signal sends a signal to the recorded process. It does nothing if that has ended.
func (r Record) Signal(signal unix.Signal) error {
	if r.PID <= 0 {
		return nil
	}
	fd, err := unix.PidfdOpen(r.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open process %d: %w", r.PID, err)
	}
	defer func() { _ = unix.Close(fd) }()
	// The descriptor stays with one process; if that is the recorded one now, it always was.
	if !r.Alive() {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, signal, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("signal process %d: %w", r.PID, err)
	}
	return nil
}

// Stop asks the process to end, and makes it end when grace is over. It returns when it has.
func (r Record) Stop(ctx context.Context, grace time.Duration) error {
	if err := r.Signal(unix.SIGTERM); err != nil {
		return err
	}
	if err := r.wait(ctx, grace); err == nil || ctx.Err() != nil {
		return err
	}
	return r.Kill(ctx)
}

// Kill makes the process end at once, and returns when it has.
func (r Record) Kill(ctx context.Context) error {
	if err := r.Signal(unix.SIGKILL); err != nil {
		return err
	}
	// A killed process may take a while to give back its memory and its mounts.
	return r.wait(ctx, 30*time.Second)
}

func (r Record) wait(ctx context.Context, limit time.Duration) error {
	deadline := time.Now().Add(limit)
	for r.Alive() {
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d still runs after %v", r.PID, limit)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}
