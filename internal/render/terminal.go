package render

import (
	"io"
	"sync"
	"time"

	"strake.dev/strake/stages"
)

// redraw is how often the live region is drawn at most.
const redraw = 100 * time.Millisecond

// Terminal shows what is running in a region at the bottom of a terminal that is drawn anew over
// itself. What has ended scrolls above it. The cursor stays visible and below the region, so that
// there is nothing to restore when the program is killed.
type Terminal struct {
	mu     sync.Mutex
	screen screen
	board  board
	// above are lines that stay, not yet printed.
	above []line
	frame int
	stop  chan struct{}
	done  chan struct{}
}

// TerminalOptions say what a terminal is like.
type TerminalOptions struct {
	// Size returns the terminal's columns and rows; it is asked again for every drawing.
	Size func() (width, height int)
	// Colour allows colours.
	Colour bool
}

// NewTerminal returns an observer that draws on the terminal w. The caller must call Close, which
// clears the live region.
func NewTerminal(w io.Writer, opts TerminalOptions) *Terminal {
	t := &Terminal{
		screen: screen{w: w, size: opts.Size, colour: opts.Colour},
		stop:   make(chan struct{}), done: make(chan struct{}),
	}
	go t.loop()
	return t
}

// Observe takes in the event, to be drawn soon.
func (t *Terminal) Observe(e stages.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.above = append(t.above, t.board.observe(e, time.Now())...)
}

func (t *Terminal) loop() {
	defer close(t.done)
	ticker := time.NewTicker(redraw)
	defer ticker.Stop()
	for {
		select {
		case <-t.stop:
			return
		case <-ticker.C:
			t.draw()
		}
	}
}

func (t *Terminal) draw() {
	t.mu.Lock()
	defer t.mu.Unlock()
	width, height := t.screen.measure()
	t.frame++
	t.screen.update(t.above, t.board.live(time.Now(), t.frame, width, height-1), width)
	t.above = nil
}

// Close prints what stays, clears the live region, and leaves the cursor below.
func (t *Terminal) Close() {
	t.mu.Lock()
	select {
	case <-t.stop:
		t.mu.Unlock()
		return
	default:
		close(t.stop)
	}
	t.mu.Unlock()
	<-t.done
	t.mu.Lock()
	defer t.mu.Unlock()
	width, _ := t.screen.measure()
	t.screen.update(t.above, nil, width)
	t.above = nil
}
