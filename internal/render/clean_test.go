package render

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestLine(t *testing.T) {
	for name, test := range map[string]struct{ in, want string }{
		"plain":                 {"RUN go build", "RUN go build"},
		"colour":                {"\x1b[1;31mred\x1b[0m", "red"},
		"cursor":                {"a\x1b[2J\x1b[10;10Hb", "ab"},
		"title, bell":           {"\x1b]0;owned\x07text", "text"},
		"link, ST":              {"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"},
		"device control string": {"a\x1bPq#1\x1b\\b", "ab"},
		"reset":                 {"\x1bcx", "x"},
		"charset":               {"\x1b(0x", "x"},
		"unfinished":            {"a\x1b[12", "a[12"},
		"nested":                {"\x1b\x1b[31m[2Jx", "[2Jx"},
		"C1":                    {"a\u009b31mb", "a31mb"},
		"carriage return":       {"10%\r100%", "10%100%"},
		"lines":                 {"a\n\tb\n", "a  b"},
		"bidi":                  {"a\u202eb\u2066c", "abc"},
		"not UTF-8":             {"a\xffb", "a\uFFFDb"},
		"wide":                  {"日本", "日本"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Line(test.in); got != test.want {
				t.Errorf("Line(%q) = %q, want %q", test.in, got, test.want)
			}
		})
	}
}

func TestTextKeepsLines(t *testing.T) {
	if got, want := Text("a\x1b[1m\n\tb\r\n"), "a\n\tb\n"; got != want {
		t.Errorf("Text = %q, want %q", got, want)
	}
}

func FuzzClean(f *testing.F) {
	for _, seed := range []string{"", "a\x1b[31mb", "\x1b]0;t\x07", "\x1b\x1b[[", "\u202e\xff\u009b", "a\nb\tc"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		line, text := Line(in), Text(in)
		if strings.ContainsFunc(line, unicode.IsControl) {
			t.Errorf("Line(%q) = %q holds a control character", in, line)
		}
		if strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) {
			t.Errorf("Text(%q) = %q holds a control character", in, text)
		}
		if !utf8.ValidString(line) || !utf8.ValidString(text) {
			t.Errorf("cleaning %q gives invalid UTF-8", in)
		}
		if again := Text(text); again != text {
			t.Errorf("cleaning %q again gives %q", text, again)
		}
	})
}
