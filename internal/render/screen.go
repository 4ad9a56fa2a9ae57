package render

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/mattn/go-runewidth"
)

// A screen is a terminal whose last lines are drawn over and over.
type screen struct {
	w      io.Writer
	size   func() (width, height int)
	colour bool
	// drawn are the lines of the live region as they stand on the terminal.
	drawn []string
}

// measure returns the size, or what terminals had at least when it isn't known.
func (s *screen) measure() (width, height int) {
	width, height = s.size()
	if width < 10 || height < 2 {
		return 80, 24
	}
	return width, height
}

// update prints lines that stay above the live region, and the region anew. It writes at once, so
// that nothing flickers.
func (s *screen) update(above []line, live []string, width int) {
	if len(above) == 0 && slices.Equal(live, s.drawn) {
		return
	}
	var out strings.Builder
	if rows := s.rows(width); rows > 0 {
		fmt.Fprintf(&out, "\x1b[%dA", rows)
	}
	out.WriteString("\r\x1b[J")
	for _, l := range above {
		out.WriteString(s.format(l) + "\n")
	}
	for _, l := range live {
		out.WriteString(s.paint(dim, l) + "\n")
	}
	_, _ = io.WriteString(s.w, out.String()) // a terminal that is gone must not stop the run
	s.drawn = live
}

// rows is how many rows the drawn region takes: a terminal that was made narrower has broken lines.
func (s *screen) rows(width int) int {
	rows := 0
	for _, l := range s.drawn {
		rows += max(1, (runewidth.StringWidth(l)+width-1)/width)
	}
	return rows
}

// The colours, as parameters of the SGR sequence.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	dim    = "2"
)

func (s *screen) paint(sgr, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + sgr + "m" + text + "\x1b[0m"
}

func (s *screen) format(l line) string {
	switch l.mark {
	case markDone:
		return s.paint(green, "✓") + " " + l.text
	case markSkipped:
		return s.paint(dim, "- "+l.text)
	case markFailed:
		return s.paint(red, "✗ "+l.text)
	case markWarning:
		return s.paint(yellow, "! "+l.text)
	case markNone:
		return l.text
	default:
		return "  " + l.text
	}
}
