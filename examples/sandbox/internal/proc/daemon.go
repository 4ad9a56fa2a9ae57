package proc

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"strake.dev/strake/examples/sandbox/internal/instance"
)

// maxLog is the size in bytes at which a log is set aside before its daemon is started again.
const maxLog = 64 << 20

// A Daemon is a program that runs in the background for an instance.
type Daemon struct {
	Name string
	Path string   // of the program
	Args []string // without the program's name
	// Config is whatever else decides how the daemon runs; a change of it needs a restart.
	Config []byte
	Env    []string // all of its environment
	Dir    string   // working folder
	Log    string   // file that its output is appended to
	State  string   // file that its Record is kept in
	// Marker is a variable of the environment, KEY=VALUE, that is in this daemon's and its children's
	// and in no other.
	Marker string
}

// saved is what the state file of a daemon holds.
type saved struct {
	Record
	Digest string `json:"digest"`
}

// Digest names the way in which the daemon would be run.
func (d *Daemon) Digest() string {
	h := sha256.New()
	for _, part := range append([]string{d.Path, string(d.Config)}, d.Args...) {
		_, _ = fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Load returns the daemon's record, and whether it was started in the way that d describes. A daemon
// never started has an empty record.
func (d *Daemon) Load() (record Record, current bool, err error) {
	data, err := os.ReadFile(d.State)
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, false, nil
	}
	if err != nil {
		return Record{}, false, fmt.Errorf("read record of %s: %w", d.Name, err)
	}
	var s saved
	if err := json.Unmarshal(data, &s); err != nil {
		return Record{}, false, fmt.Errorf("read %s: %w", d.State, err)
	}
	return s.Record, s.Digest == d.Digest(), nil
}

// Start runs the daemon in a session of its own, so that neither the terminal's signals nor the end
// of this program reach it, and keeps its record.
func (d *Daemon) Start() (Record, error) {
	log, err := openLog(d.Log)
	if err != nil {
		return Record{}, err
	}
	defer func() { _ = log.Close() }()

	cmd := exec.Command(d.Path, d.Args...)
	cmd.Dir = d.Dir
	cmd.Env = append(d.Env, d.Marker)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return Record{}, fmt.Errorf("start %s: %w", d.Name, err)
	}
	// Until Wait is called the id can't be reused, so the record is surely the daemon's.
	record, err := Identify(cmd.Process.Pid)
	go func() { _ = cmd.Wait() }()
	if err != nil {
		return Record{}, fmt.Errorf("%s ended as soon as it was started: %w", d.Name, err)
	}
	data, err := json.Marshal(saved{record, d.Digest()})
	if err == nil {
		err = instance.WriteFile(d.State, data, 0o600)
	}
	if err != nil {
		return record, fmt.Errorf("keep record of %s: %w", d.Name, err)
	}
	return record, nil
}

// openLog opens a log for appending, setting one that has grown too large aside.
func openLog(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make log folder: %w", err)
	}
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, fmt.Errorf("set old log aside: %w", err)
		}
	}
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return log, nil
}
