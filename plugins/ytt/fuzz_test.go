package ytt

import (
	"errors"
	"strings"
	"testing"

	"strake.dev/strake/stages"
)

func FuzzFieldPath(f *testing.F) {
	for _, s := range []string{"metadata.name", "{.metadata.uid}", "metadata.labels['a/b']", `metadata.annotations.a\.b`, "metadata.labels[", "{", ""} {
		f.Add(s)
	}
	app := stages.App{Name: "app", Labels: map[string]string{"a/b": "c"}}
	f.Fuzz(func(t *testing.T, text string) {
		field, err := parseFieldPath(text)
		if err != nil {
			if !errors.Is(err, errFieldPath) {
				t.Fatalf("%q: unexpected error %v", text, err)
			}
			return
		}
		if field.keyed == (field.key == "") {
			t.Fatalf("%q: a key that is empty, or one that was not asked for: %+v", text, field)
		}
		if _, err := field.of(app); err != nil && !field.keyed {
			t.Fatalf("%q: %v", text, err)
		}
	})
}

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

func FuzzSecrets(f *testing.F) {
	f.Add([]byte("token: abcdef"), "x abcdef")
	f.Add([]byte("a: |\n  l1\n  long-line"), "1 | long-line")
	f.Fuzz(func(t *testing.T, secret []byte, text string) {
		var s secrets
		s.add(secret)
		whole := strings.TrimSpace(string(secret))
		if len(whole) < minSecret || strings.Contains(masked, whole) || strings.Contains(whole, "*") || strings.Contains(whole, "\n") {
			s.clean(text)
			return
		}
		if whole != "true" && whole != "false" && whole != "null" && strings.Contains(s.clean(text+whole), whole) {
			t.Fatalf("%q is still in the text", whole)
		}
	})
}
