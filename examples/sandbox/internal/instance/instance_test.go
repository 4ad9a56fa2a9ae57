package instance

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestNewChecksName(t *testing.T) {
	for name, ok := range map[string]bool{
		"default": true, "a": true, "ci-7": true,
		"": false, "A": false, "-a": false, "a-": false, "a/b": false, "..": false, "a b": false,
		strings.Repeat("a", 33): false,
	} {
		if _, err := New("/tmp/s", name); (err == nil) != ok {
			t.Errorf("New(%q) = %v, want ok %v", name, err, ok)
		}
	}
}

func TestNewRefusesLongFolder(t *testing.T) {
	_, err := New("/tmp/"+strings.Repeat("d", 80), "default")
	if err == nil || !strings.Contains(err.Error(), "STRAKE_SANDBOX_HOME") {
		t.Errorf("got %v, want advice to set STRAKE_SANDBOX_HOME", err)
	}
}

func TestIDDependsOnFolder(t *testing.T) {
	a, _ := New("/tmp/s", "a")
	again, _ := New("/tmp/s", "a")
	other, _ := New("/tmp/t", "a")
	if a.ID != again.ID || a.ID == other.ID || len(a.ID) != 8 {
		t.Errorf("IDs %s, %s, %s", a.ID, again.ID, other.ID)
	}
}

func TestHome(t *testing.T) {
	t.Setenv("HOME", "/home/u")
	t.Setenv("XDG_STATE_HOME", "")
	t.Setenv("STRAKE_SANDBOX_HOME", "")
	for _, step := range []struct{ variable, value, want string }{
		{"HOME", "/home/u", "/home/u/.local/state/strake/sandbox"},
		{"XDG_STATE_HOME", "/state", "/state/strake/sandbox"},
		{"STRAKE_SANDBOX_HOME", "/box", "/box"},
	} {
		t.Setenv(step.variable, step.value)
		if got, err := Home(); err != nil || got != step.want {
			t.Errorf("with %s: Home() = %s, %v, want %s", step.variable, got, err, step.want)
		}
	}
}

func TestStateSurvives(t *testing.T) {
	i := &Instance{Name: "a", Dir: t.TempDir()}
	if _, err := i.Load(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("Load of nothing: %v", err)
	}
	want := State{Node: "real", Ports: map[string]int{"registry": 20001}, PodNetwork: netip.MustParsePrefix("10.200.3.0/24")}
	if err := i.Save(&want); err != nil {
		t.Fatal(err)
	}
	got, err := i.Load()
	if err != nil || got.Ports["registry"] != 20001 || got.Gateway() != netip.MustParseAddr("10.200.3.1") {
		t.Errorf("Load() = %+v, %v", got, err)
	}
	entries, err := os.ReadDir(i.Dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("folder has %v, %v, want the state alone", entries, err)
	}
}

func TestFreePortsAvoidsOpenAndTaken(t *testing.T) {
	first, err := FreePorts("seed", []string{"a", "b"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(first["a"]))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	second, err := FreePorts("seed", []string{"a", "b"}, []int{first["b"]})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{first["a"]: true, first["b"]: true}
	for use, port := range second {
		if seen[port] {
			t.Errorf("port %d for %s is open, taken or given twice", port, use)
		}
		seen[port] = true
	}
}

func TestFreePodNetworkAvoidsTaken(t *testing.T) {
	first, err := FreePodNetwork("seed", nil)
	if err != nil {
		t.Fatal(err)
	}
	second, err := FreePodNetwork("seed", []netip.Prefix{first})
	if err != nil {
		t.Fatal(err)
	}
	if first.Overlaps(second) || !podNetworks.Overlaps(second) || second.Bits() != 24 {
		t.Errorf("networks %v and %v", first, second)
	}
}

func TestLockExcludes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	release, err := LockFile(t.Context(), path, func() {})
	if err != nil {
		t.Fatal(err)
	}
	waited := false
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := LockFile(ctx, path, func() { waited = true }); !errors.Is(err, context.DeadlineExceeded) || !waited {
		t.Errorf("second lock: %v, waited %v", err, waited)
	}

	// A holder may remove the file: the next one must not think that it has the lock too.
	got := make(chan func())
	go func() {
		release, err := LockFile(t.Context(), path, func() {})
		if err != nil {
			t.Error(err)
		}
		got <- release
	}()
	time.Sleep(80 * time.Millisecond)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	release()
	defer (<-got)()
	if _, err := os.Stat(path); err != nil {
		t.Errorf("lock file of the new holder: %v", err)
	}
}
