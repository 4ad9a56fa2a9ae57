package cli

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asStrake makes the test binary a strake with the fakes.
const asStrake = "STRAKE_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asStrake) != "" {
		os.Exit(Main(Program{Version: "v1.2.3", Plugins: fakes}))
	}
	os.Exit(m.Run())
}

// start starts a strake in a folder with app.yaml and returns its standard error.
func start(t *testing.T, app string, args ...string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "app.yaml"), []byte(app), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), asStrake+"=1", "XDG_CACHE_HOME="+filepath.Join(dir, "cache"))
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewReader(stderr)
}

func waitFor(t *testing.T, r *bufio.Reader, text string) {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if strings.Contains(line, text) {
			return
		}
		if err != nil {
			t.Fatalf("%q was never printed: %v", text, err)
		}
	}
}

func TestSignals(t *testing.T) {
	for sig, want := range map[syscall.Signal]struct {
		code int
		text string
	}{
		syscall.SIGINT:  {130, "warning: interrupted: stopping…\n"},
		syscall.SIGTERM: {143, "warning: terminated: stopping…\n"},
	} {
		t.Run(sig.String(), func(t *testing.T) {
			cmd, stderr := start(t, app("reused", "{hang: true}"), "run")
			waitFor(t, stderr, "hanging")
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			rest, err := io.ReadAll(stderr)
			if err != nil {
				t.Fatal(err)
			}
			var exit *exec.ExitError
			if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != want.code {
				t.Errorf("ended with %v, want exit code %d", err, want.code)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("took %s to end", took)
			}
			if !strings.Contains(string(rest), want.text) {
				t.Errorf("printed %q, want %q in it", rest, want.text)
			}
			if left, _ := filepath.Glob(filepath.Join(cmd.Dir, "cache/strake/workspaces/*/tmp")); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// Nobody has to wait for input that doesn't come.
func TestSignalWhileReadingStandardInput(t *testing.T) {
	cmd, _ := startWithInput(t)
	time.Sleep(500 * time.Millisecond) // until the handler stands; before, the signal itself ends it
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		if _, ok := errors.AsType[*exec.ExitError](err); !ok {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("still waits for input")
		_ = cmd.Process.Kill()
	}
}

func startWithInput(t *testing.T) (*exec.Cmd, io.WriteCloser) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "run", "-f", "-")
	cmd.Env = append(os.Environ(), asStrake+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close() })
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, in
}

// Whoever reads only the first line doesn't kill the run, but learns that not all was written.
func TestClosedStandardOutput(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "app.yaml"), []byte(app("built", "{}")), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "run", "--progress=none")
	cmd.Dir, cmd.Stdout = dir, w
	cmd.Env = append(os.Environ(), asStrake+"=1", "XDG_CACHE_HOME="+filepath.Join(dir, "cache"))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	err = cmd.Run()
	_ = w.Close()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("ended with %v, want exit code 1", err)
	}
	if got := stderr.String(); !strings.Contains(got, "strake: standard output:") || !strings.Contains(got, "broken pipe") {
		t.Errorf("printed %q", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "app.lock.yaml")); err != nil {
		t.Errorf("the run did not go on: %v", err)
	}
}
