package extension

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"strake.dev/strake/internal/confine/confinetest"
	"strake.dev/strake/stages"
)

// TestMain makes the test's executable a strake that is killed: it calls an executable, and waits for it.
func TestMain(m *testing.M) {
	if path := os.Getenv("STRAKE_TEST_CALL"); path != "" {
		config := Config{}
		config.SetDefaults()
		h := &Host{Allowed: []string{path}}
		s, err := h.Start(context.Background(), &Call{Ref: Ref{Path: path}, Config: &config, Job: &stages.Job{Hide: func([]byte) {}, Events: silent{}}})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		_, _ = io.Copy(os.Stdout, s.Stdout)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

type silent struct{}

func (silent) Observe(stages.Event) {}

// processes lists those that sleep for a time.
func processes(t *testing.T, mark string) (found []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if line, err := os.ReadFile(f); string(line) == "sleep\x00"+mark+"\x00" && err == nil {
			found = append(found, f)
		}
	}
	return found
}

// Whatever ends strake ends what an executable has started, and the next call removes what is left of folders and
// control groups.
func TestKilled(t *testing.T) {
	mark := fmt.Sprintf("77%d", time.Now().UnixNano())
	path := script(t, "trap '' TERM HUP INT\nsleep "+mark+" &\n(trap '' TERM HUP; setsid sleep "+mark+" </dev/null >/dev/null 2>&1 &)\necho ready\nwhile :; do sleep "+mark+"; done\n")
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	temp := t.TempDir()
	cmd := exec.CommandContext(t.Context(), own)
	cmd.Env = append(os.Environ(), "STRAKE_TEST_CALL="+path, "TMPDIR="+temp)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	if line != "ready\n" {
		t.Fatalf("found %q", line)
	}
	for began := time.Now(); len(processes(t, mark)) < 3; time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("expected three processes, found %q", processes(t, mark))
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	began := time.Now()
	for len(processes(t, mark)) > 0 && time.Since(began) < 2*time.Second {
		time.Sleep(10 * time.Millisecond)
	}
	if found := processes(t, mark); len(found) > 0 {
		t.Errorf("left after %v: %q", time.Since(began), found)
	}

	left, err := filepath.Glob(filepath.Join(temp, tempPrefix+"*"))
	if err != nil || len(left) != 1 {
		t.Fatalf("expected the folder of the call to be left, found %q %v", left, err)
	}
	past := time.Now().Add(-2 * young)
	if err := os.Chtimes(left[0], past, past); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", temp)
	s, err := start(t, script(t, "exit 0"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left[0]); err == nil {
		t.Errorf("%s is still there", left[0])
	}
	groups, _ := filepath.Glob("/sys/fs/cgroup/*/" + fmt.Sprintf("strake-plugin-%d-*", cmd.Process.Pid))
	if len(groups) > 0 {
		t.Errorf("still there: %q", groups)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(temp); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestAsNobody(t *testing.T) {
	confinetest.AsNobody(t, "^(TestKilled|TestEnds|TestEnvironment|TestLog)$")
}

// A folder that is in use isn't removed, however old it is.
func TestSweepLeavesWhatIsInUse(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	used, release, err := newTemp()
	if err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-2 * young)
	if err := os.Chtimes(used, past, past); err != nil {
		t.Fatal(err)
	}
	if sweep(temp); !isThere(used) {
		t.Error("a folder in use was removed")
	}
	release()
	if sweep(temp); isThere(used) {
		t.Error("a folder that nobody uses is left")
	}
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
