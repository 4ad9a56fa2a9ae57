package stages

import (
	"errors"
	"fmt"
)

// ErrNoObject says that a Secret or ConfigMap which the configuration refers to doesn't exist.
var ErrNoObject = errors.New("not found")

// ErrNoRevision says that there is no recorded deploy of a number, or that its manifests weren't kept.
var ErrNoRevision = errors.New("no such revision")

// A LockError says that the lock file doesn't fit the run, under --locked.
type LockError struct {
	// Entry names the source or the image.
	Entry string
	// Reason says what differs.
	Reason string
}

func (e *LockError) Error() string { return fmt.Sprintf("lock: %s: %s", e.Entry, e.Reason) }

// A HintError adds what to do about an error, apart from the message.
type HintError struct {
	Err  error
	Hint string
}

func (e *HintError) Error() string { return e.Err.Error() }

func (e *HintError) Unwrap() error { return e.Err }

// WithHint adds advice to an error, which is shown below its message.
func WithHint(err error, format string, args ...any) error {
	return &HintError{Err: err, Hint: fmt.Sprintf(format, args...)}
}

// Hint returns the advice of the outermost error in err's chain that has one, and "" if there is none.
func Hint(err error) string {
	if h, ok := errors.AsType[*HintError](err); ok {
		return h.Hint
	}
	return ""
}
