package buildkit

import (
	"io"
	"log"

	"github.com/sirupsen/logrus"
)

// Quiet keeps the libraries from writing to standard error, as they do of things that are no user's
// concern: what matters is in errors and events. It is for programs, not for tests.
func Quiet() {
	logrus.SetOutput(io.Discard)
	// The session's HTTP/2 server tells every connection that a daemon has cut.
	log.SetOutput(io.Discard)
}
