package ytt

import (
	"fmt"
	"io"
	"strings"
	"sync"
)

// warnings is the terminal that ytt thinks it writes to: it passes warnings on until it is closed,
// and nothing else.
type warnings struct {
	mu sync.Mutex
	to func(string)
}

// Printf ignores what ytt prints; the documents come as bytes.
func (w *warnings) Printf(string, ...any) {}

// Debugf ignores ytt's log of its own work.
func (w *warnings) Debugf(string, ...any) {}

// DebugWriter ignores ytt's log of its own work.
func (w *warnings) DebugWriter() io.Writer { return io.Discard }

// Warnf passes a warning on.
func (w *warnings) Warnf(format string, args ...any) {
	message := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(fmt.Sprintf(format, args...)), "Warning: "))
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.to != nil && message != "" {
		w.to(message)
	}
}

func (w *warnings) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.to = nil
}
