package stdlog

import (
	"bytes"
	"log"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLinesOfTheLoggers(t *testing.T) {
	var before bytes.Buffer
	log.SetOutput(&before)
	var got []string
	lines := NewLines(func(line string) { got = append(got, line) })
	restore := To(lines)
	log.Print("Warning: one")
	slog.Warn("two", "key", "value")
	log.Print("one\nthree")
	lines.Close()
	log.Print("too late")
	restore()
	log.Print("outside")
	if diff := cmp.Diff([]string{"one", "two key=value", "three"}, got); diff != "" {
		t.Errorf("lines differ (-want +got):\n%s", diff)
	}
	if !bytes.Contains(before.Bytes(), []byte("outside")) || bytes.Contains(before.Bytes(), []byte("two")) {
		t.Errorf("expected only what was logged outside, found %q", before.String())
	}
}
