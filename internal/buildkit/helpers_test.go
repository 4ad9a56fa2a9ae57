package buildkit

import (
	"strings"
	"testing"
	"time"

	"strake.dev/strake/stages"
)

var zeroTime = time.Unix(0, 0)

func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// quiet drops all events.
type quiet struct{}

func (quiet) Observe(stages.Event) {}

func contains(text, part string) bool { return strings.Contains(text, part) }
