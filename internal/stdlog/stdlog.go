// Package stdlog catches what libraries write with Go's standard loggers, log and log/slog, which
// otherwise goes to standard error in the middle of a live view. The loggers are the whole program's:
// only one place at a time can have what they say.
package stdlog

import (
	"bytes"
	"io"
	"log"
	"strings"
	"sync"
)

var catching sync.Mutex

// To lets the loggers write to w until the returned function is called. A second caller waits for it.
func To(w io.Writer) (restore func()) {
	catching.Lock()
	before, flags := log.Writer(), log.Flags()
	log.SetOutput(w)
	log.SetFlags(0)
	return func() {
		log.SetOutput(before)
		log.SetFlags(flags)
		catching.Unlock()
	}
}

// Lines is a writer that passes each line on, once for equal ones, until it is closed.
type Lines struct {
	mu   sync.Mutex
	to   func(string)
	rest []byte
	seen map[string]bool
}

// NewLines returns a writer that tells each line to a function, without a leading “Warning: ” or level.
func NewLines(to func(string)) *Lines { return &Lines{to: to, seen: map[string]bool{}} }

// Write takes a part of the text.
func (l *Lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found {
			return len(p), nil
		}
		l.rest = rest
		text := strings.TrimSpace(string(line))
		for _, prefix := range []string{"Warning:", "warning:", "WARN", "INFO", "ERROR"} {
			text = strings.TrimSpace(strings.TrimPrefix(text, prefix))
		}
		if text != "" && l.to != nil && !l.seen[text] {
			l.seen[text] = true
			l.to(text)
		}
	}
}

// Close has the writer ignore all that follows. It waits for a line that is being told.
func (l *Lines) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.to = nil
}
