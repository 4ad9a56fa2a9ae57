package cli

import (
	"io"
	"sync"
	"time"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/internal/report"
	"strake.dev/strake/stages"
)

// A lasting output is that of a command with several runs and something in between. It shows one display after
// the other. What is said while there is none, because a result is being printed, is kept for the next.
type lasting struct {
	// json prints lines; nil for text.
	json *render.JSON
	// plain is where displays that only show runs have the rest.
	plain io.Writer

	mu   sync.Mutex
	now  display
	kept []said
}

// said is a line that no event of a run is behind.
type said struct{ tag, text string }

// maxKept bounds what is kept while nothing is shown.
const maxKept = 1000

// A speaker is a display that shows what isn't about a run, too.
type speaker interface{ Say(tag, text string) }

// show begins to show a display.
func (l *lasting) show(d display) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = d
	for _, s := range l.kept {
		l.pass(s)
	}
	l.kept = nil
}

// tell says a line between those of runs: as JSON, or for people as text, in clean words.
func (l *lasting) tell(line report.Line, tag, text string) {
	if l.json != nil {
		line.Time = time.Now()
		l.json.Write(line)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := (said{tag, text}); l.now != nil {
		l.pass(s)
	} else if len(l.kept) < maxKept {
		l.kept = append(l.kept, s)
	}
}

func (l *lasting) pass(s said) {
	switch d := l.now.(type) {
	case speaker:
		d.Say(s.tag, s.text)
	case silent:
	default:
		render.NewPlain(l.plain, nil).Say(s.tag, s.text)
	}
}

// Observe shows an event of a run.
func (l *lasting) Observe(e stages.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now != nil {
		l.now.Observe(e)
	}
}

// Close ends the present display.
func (l *lasting) Close() {
	l.mu.Lock()
	d := l.now
	l.now = nil
	l.mu.Unlock()
	if d != nil {
		d.Close()
	}
}
