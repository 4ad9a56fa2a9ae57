package render

import (
	"io"
	"strings"
	"sync"

	"strake.dev/strake/stages"
)

// Groups is how the log of a CI system marks lines that can be folded.
type Groups struct {
	// Open and Close return the lines around those of a step, with their line ends.
	Open, Close func(step string) string
	// Escape makes a line harmless that may hold a command for the CI system.
	Escape func(line string) string
}

// Grouped prints what [Plain] prints, the lines of each step in a group of their own. How a step has ended
// stands below its group; a step that prints nothing has none.
type Grouped struct {
	plain *Plain
	lines *groupWriter
}

// NewGrouped returns an observer that prints lines to w. The caller must call Close.
func NewGrouped(w io.Writer, steps []string, groups Groups) *Grouped {
	lines := &groupWriter{w: w, groups: groups}
	return &Grouped{plain: NewPlain(lines, steps), lines: lines}
}

// Observe prints the event, if it matters. Steps run one after the other.
func (g *Grouped) Observe(e stages.Event) {
	switch e.Type {
	case stages.StepStarted:
		g.lines.step(e.Step)
	case stages.StepFinished, stages.StepSkipped:
		g.lines.step("")
	}
	g.plain.Observe(e)
}

// Close ends the printing.
func (g *Grouped) Close() {
	g.plain.Close()
	g.lines.step("")
}

// A groupWriter opens a group when the first line of a step is written.
type groupWriter struct {
	mu      sync.Mutex
	w       io.Writer
	groups  Groups
	current string
	open    bool
}

// step begins the lines of a step, or with an empty name those of none.
func (g *groupWriter) step(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open {
		_, _ = io.WriteString(g.w, g.groups.Close(g.current)) // a log that can't be written must not stop the run
	}
	g.current, g.open = name, false
}

func (g *groupWriter) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	text := ""
	if g.current != "" && !g.open {
		text, g.open = g.groups.Open(g.current), true
	}
	if _, err := io.WriteString(g.w, text+EscapeLines(string(b), g.groups.Escape)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// EscapeLines lets escape change each line of a text, which is without its line end then.
func EscapeLines(text string, escape func(string) string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		body, ended := strings.CutSuffix(line, "\n")
		out.WriteString(escape(body))
		if ended {
			out.WriteByte('\n')
		}
	}
	return out.String()
}
