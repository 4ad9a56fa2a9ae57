package ytt

import (
	"errors"
	"strings"
	"testing"
)

func FuzzLibraryError(f *testing.F) {
	for _, s := range []string{
		"Overlaying x: Document (hint: A b): Found z", "x (backtrace: goroutine 1 [running]:\n  f()\n   /a/b.go:1 +0x1\n)", ": A", "(((: B", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for line := range strings.SplitSeq(libraryError(errors.New(text)).Error(), "\n") {
			if strings.HasSuffix(line, " ") {
				t.Fatalf("%q: a line ends with a space: %q", text, line)
			}
		}
	})
}
