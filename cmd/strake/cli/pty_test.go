package cli

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
	"github.com/tonistiigi/vt100"
)

var updateScreens = flag.Bool("update", false, "write the screens that are seen into testdata")

// A terminal is what a person sees of a strake.
type terminal struct {
	mu     sync.Mutex
	screen *vt100.VT100
	sent   strings.Builder
	cmd    *exec.Cmd
	done   chan struct{}
}

// inTerminal starts a strake in a terminal of that size.
func inTerminal(t *testing.T, width, height int, app string, env ...string) *terminal {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "app.yaml"), []byte(app), 0o600); err != nil {
		t.Fatal(err)
	}
	term := &terminal{screen: vt100.NewVT100(height, width), done: make(chan struct{})}
	term.cmd = exec.CommandContext(t.Context(), os.Args[0], "run")
	term.cmd.Dir = dir
	term.cmd.Env = append(os.Environ(), asStrake+"=1", "XDG_CACHE_HOME="+filepath.Join(dir, "cache"), "TERM=xterm", "CI=", "GITHUB_ACTIONS=", "GITLAB_CI=", "NO_COLOR=")
	term.cmd.Env = append(term.cmd.Env, env...)
	file, err := pty.StartWithSize(term.cmd, &pty.Winsize{Rows: uint16(height), Cols: uint16(width)})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(term.done)
		buf := make([]byte, 1<<16)
		for {
			n, err := file.Read(buf)
			term.mu.Lock()
			term.sent.Write(buf[:n])
			_, _ = term.screen.Write(buf[:n])
			term.mu.Unlock()
			if err != nil {
				_ = file.Close()
				return
			}
		}
	}()
	return term
}

var (
	clock   = regexp.MustCompile(`\d+\.\d+s`)
	spinner = regexp.MustCompile(`[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]`)
)

// see returns what is on the screen, with times that don't tick.
func (term *terminal) see() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	var lines []string
	for _, row := range term.screen.Content {
		line := strings.TrimRight(string(row), " ")
		lines = append(lines, spinner.ReplaceAllString(clock.ReplaceAllString(line, "0.0s"), "*"))
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n") + "\n"
}

func (term *terminal) waitFor(t *testing.T, text string) string {
	t.Helper()
	for range 100 {
		if seen := term.see(); strings.Contains(seen, text) {
			return seen
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%q is never seen:\n%s", text, term.see())
	return ""
}

// interrupt ends the strake as Ctrl-C does, and returns its last screen.
func (term *terminal) interrupt(t *testing.T) string {
	t.Helper()
	if err := term.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := term.cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 130 {
		t.Errorf("ended with %v", err)
	}
	<-term.done
	return term.see()
}

// What people see while a run works, and what stays.
func TestTerminalScreens(t *testing.T) {
	text := app("built", `{hang: true, changes: [{op: create, name: a-thing-with-quite-a-long-name, reason: it is new and there are many words to say about it}]}`)
	for _, width := range []int{80, 200} {
		term := inTerminal(t, width, 24, text)
		live := term.waitFor(t, "| hanging")
		got := "--- running\n" + live + "--- interrupted\n" + term.interrupt(t)
		golden := filepath.Join("testdata", "screens", fmt.Sprintf("%d.txt", width))
		if *updateScreens {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(readFile(t, golden), got); diff != "" {
			t.Errorf("screens of %d columns (-want +got):\n%s", width, diff)
		}
	}
}

func TestTerminalsThatCanDoLess(t *testing.T) {
	for env, forbidden := range map[string]string{"NO_COLOR=1": `\x1b\[[0-9;]*m`, "TERM=dumb": `\x1b`, "CI=true": `\x1b`} {
		term := inTerminal(t, 80, 24, app("built", "{hang: true}"), env)
		term.waitFor(t, "| hanging")
		seen := term.interrupt(t)
		if found := regexp.MustCompile(forbidden).FindString(term.sent.String()); found != "" {
			t.Errorf("%s: %q is sent", env, found)
		}
		if !strings.Contains(seen, "deploy-put") {
			t.Errorf("%s: %s", env, seen)
		}
	}
}
