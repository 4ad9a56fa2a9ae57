package buildkit

import (
	"strings"
	"testing"
	"time"
)

var zeroTime = time.Unix(0, 0)

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func contains(text, part string) bool { return strings.Contains(text, part) }
