package proc

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sleeper starts a daemon that does nothing.
func sleeper(t *testing.T, marker string, args ...string) (*Daemon, Record) {
	t.Helper()
	path, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	d := &Daemon{
		Name: "sleeper", Path: path, Args: append(args, "60"), Dir: dir, Marker: marker,
		Log: filepath.Join(dir, "log"), State: filepath.Join(dir, "state", "sleeper.json"),
	}
	record, err := d.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = record.Signal(unix.SIGKILL) })
	return d, record
}

func TestDaemonIsRecognisedAndStopped(t *testing.T) {
	d, record := sleeper(t, "STRAKE_TEST=1")
	loaded, current, err := d.Load()
	if err != nil || loaded != record || !current || !loaded.Alive() {
		t.Fatalf("Load() = %+v, %v, %v; started %+v", loaded, current, err, record)
	}
	if err := record.Stop(t.Context(), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if record.Alive() {
		t.Error("alive after Stop")
	}
	if err := record.Stop(t.Context(), time.Second); err != nil {
		t.Errorf("second Stop: %v", err)
	}
}

func TestChangedDaemonIsNotCurrent(t *testing.T) {
	d, _ := sleeper(t, "STRAKE_TEST=1")
	for name, change := range map[string]func(*Daemon){
		"program": func(d *Daemon) { d.Path += "x" },
		"args":    func(d *Daemon) { d.Args = append(d.Args, "x") },
		"config":  func(d *Daemon) { d.Config = []byte("x") },
	} {
		changed := *d
		change(&changed)
		if _, current, err := changed.Load(); current || err != nil {
			t.Errorf("other %s: current %v, %v", name, current, err)
		}
	}
}

// A process with the id of a dead daemon must never be signalled.
func TestOtherProcessIsLeftAlone(t *testing.T) {
	_, record := sleeper(t, "STRAKE_TEST=1")
	for name, other := range map[string]Record{
		"start time": {record.PID, record.Started + 1, record.Boot},
		"boot":       {record.PID, record.Started, "other"},
		"none":       {},
	} {
		if other.Alive() {
			t.Errorf("other %s: alive", name)
		}
		if err := other.Signal(unix.SIGKILL); err != nil {
			t.Errorf("other %s: %v", name, err)
		}
	}
	time.Sleep(50 * time.Millisecond)
	if !record.Alive() {
		t.Error("signal reached another process")
	}
}

func TestUncollectedProcessIsGone(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	for range 100 {
		if _, err := Identify(cmd.Process.Pid); err != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("ended process counts as alive")
}

func TestMarked(t *testing.T) {
	marker := "STRAKE_TEST_MARKER=" + filepath.Base(t.TempDir()) + t.Name()
	_, record := sleeper(t, marker)
	var found []Found
	for range 100 { // the environment is that of the caller until the program is loaded
		var err error
		if found, err = Marked(marker); err != nil {
			t.Fatal(err)
		}
		if len(found) > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if len(found) != 1 || found[0].Record != record || filepath.Base(found[0].Exe) == "" {
		t.Errorf("Marked() = %+v, want %+v", found, record)
	}
}

func TestLargeLogIsSetAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, maxLog+1); err != nil {
		t.Fatal(err)
	}
	log, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if info, err := log.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("new log has %d bytes, %v", info.Size(), err)
	}
	if _, err := os.Stat(path + ".1"); err != nil {
		t.Error(err)
	}
}
