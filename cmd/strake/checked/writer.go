// Package checked notices output that is lost: a full disk behind standard output must not pass for success.
package checked

import "io"

// A Writer passes on what is written to it and remembers the first error, for those whose printing
// tells nobody.
type Writer struct {
	To io.Writer
	// Err is the first error, nil as long as there was none.
	Err error
}

// Write writes to To.
func (w *Writer) Write(b []byte) (int, error) {
	n, err := w.To.Write(b)
	if w.Err == nil {
		w.Err = err
	}
	return n, err
}
