package render

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mattn/go-runewidth"
	"github.com/tonistiigi/vt100"

	"strake.dev/strake/stages"
)

// An emulated terminal that keeps what was sent to it.
type emulated struct {
	mu sync.Mutex
	*vt100.VT100
	sent   bytes.Buffer
	writes int
}

func emulate(width, height int) *emulated { return &emulated{VT100: vt100.NewVT100(height, width)} }

func (e *emulated) Write(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sent.Write(b)
	e.writes++
	return e.VT100.Write(b)
}

func (e *emulated) size() (int, int) { return e.Width, e.Height }

func (e *emulated) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var lines []string
	for _, row := range e.Content {
		lines = append(lines, strings.TrimRight(string(row), " "))
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

func TestTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		screen := emulate(60, 20)
		term := NewTerminal(screen, TerminalOptions{Size: screen.size})
		frame := func(events ...stages.Event) {
			for _, e := range events {
				term.Observe(e)
			}
			time.Sleep(redraw)
			synctest.Wait()
		}
		check := func(want string) {
			t.Helper()
			if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), screen.String()); diff != "" {
				t.Errorf("screen differs (-want +got):\n%s", diff)
			}
		}
		frame(started("fetch-src", "vendir"), finished("fetch-src", 0.5), started("build-kbld", "kbld"))
		frame(
			task("build-kbld", stages.Task{ID: "1", Name: "[1/2] FROM golang", State: stages.TaskRunning, Current: 5e6, Total: 20e6, Unit: "bytes"}),
			task("build-kbld", stages.Task{ID: "2", Name: "[2/2] RUN go build \x1b[2Jwith a very long command line that does not fit", State: stages.TaskRunning}),
			message("build-kbld", stages.LogLine, "compiling"),
		)
		time.Sleep(time.Second)
		if first, _, _ := strings.Cut(screen.String(), "\n"); first != "✓ fetch-src  done in 0.50s" {
			t.Errorf("what has ended does not stand above: %q", first)
		}
		for _, part := range []string{"build-kbld", "5.0/20.0 MB", "[2/2] RUN go build with a very long", "…", "| compiling"} {
			if !strings.Contains(screen.String(), part) {
				t.Errorf("screen lacks %q:\n%s", part, screen)
			}
		}
		frame(
			task("build-kbld", stages.Task{ID: "1", Name: "[1/2] FROM golang", State: stages.TaskDone}),
			task("build-kbld", stages.Task{ID: "2", Name: "[2/2] RUN go build", State: stages.TaskFailed, Detail: "exit code: 1"}),
			failed("build-kbld", 2, "exit code: 1"),
		)
		term.Close()
		term.Close()
		check(`
✓ fetch-src  done in 0.50s
  [1/2] FROM golang: done in 1.10s
  [2/2] RUN go build: failed after 1.10s: exit code: 1
  | compiling
✗ build-kbld  failed after 2.00s`)
		if screen.Cursor.Y != 5 || screen.Cursor.X != 0 {
			t.Errorf("cursor at line %d column %d, want it below the last line", screen.Cursor.Y, screen.Cursor.X)
		}
	})
}

// However much runs at once, the region never takes more than the screen, and no line is broken.
func TestLiveRegionFits(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {40, 5}, {20, 2}, {200, 50}, {10, 3}} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			var b board
			for _, step := range []string{"build-one", "build-two-日本語"} {
				b.observe(started(step, "kbld"), at)
				for i := range 40 {
					b.observe(task(step, stages.Task{
						ID: fmt.Sprint(i), Name: strings.Repeat("日本 ", i), State: stages.TaskRunning,
						Current: int64(i) * 1e6, Total: 30e6, Unit: "bytes",
					}), at)
				}
				b.observe(message(step, stages.LogLine, strings.Repeat("x", 300)), at)
			}
			lines := b.live(at.Add(time.Hour), 7, size[0], size[1]-1)
			if len(lines) > size[1]-1 || len(lines) == 0 {
				t.Errorf("%d lines on a screen of %d", len(lines), size[1])
			}
			for _, l := range lines {
				if w := runewidth.StringWidth(l); w >= size[0] {
					t.Errorf("line of width %d on a screen of width %d: %q", w, size[0], l)
				}
			}
		})
	}
}

// A terminal that gets narrower breaks the lines that are drawn: all their rows have to be cleared.
func TestScreenAfterResize(t *testing.T) {
	var out bytes.Buffer
	s := screen{w: &out}
	s.update(nil, []string{strings.Repeat("x", 50), "y"}, 80)
	out.Reset()
	s.update(nil, []string{"z"}, 20)
	if want := "\x1b[4A\r\x1b[Jz\n"; out.String() != want {
		t.Errorf("sent %q, want %q", out.String(), want)
	}
}

func TestTerminalDrawsOnlyChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		screen := emulate(60, 20)
		term := NewTerminal(screen, TerminalOptions{Size: screen.size})
		time.Sleep(time.Minute)
		if screen.writes != 0 {
			t.Errorf("%d writes while nothing happens, want none", screen.writes)
		}
		term.Observe(started("a", "b"))
		for range 1000 {
			term.Observe(message("a", stages.LogLine, "line"))
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		if limit := int(time.Second/redraw) + 1; screen.writes > limit {
			t.Errorf("%d writes in a second, want at most %d", screen.writes, limit)
		}
		term.Close()
	})
}

func TestColour(t *testing.T) {
	for _, colour := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			screen := emulate(60, 20)
			term := NewTerminal(screen, TerminalOptions{Size: screen.size, Colour: colour})
			term.Observe(finished("a", 1))
			term.Observe(message("", stages.Warning, "w"))
			term.Close()
			if got := strings.Contains(screen.sent.String(), "\x1b[32m"); got != colour {
				t.Errorf("colours in the output: %t, want %t", got, colour)
			}
			if want := "✓ a  done in 1.00s\n! w"; screen.String() != want {
				t.Errorf("screen %q, want %q", screen.String(), want)
			}
		})
	}
}
