package render

import (
	"regexp"
	"strings"
	"unicode"
)

// escapes are the terminal control sequences of ECMA-48: CSI (colours, cursor), strings (titles,
// links), and two-character ones. What is left of an incomplete one loses its escape character.
var escapes = regexp.MustCompile("\x1b\\[[0-?]*[ -/]*[@-~]" +
	"|\x1b[\\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\\\)" +
	"|\x1b[ -/]*[0-Z\\\\^-~]")

// Line returns a text as one line without anything that steers a terminal.
func Line(text string) string {
	return strings.TrimSpace(clean(text, func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		return -1
	}))
}

// Text is like [Line] for a text of several lines.
func Text(text string) string {
	return clean(text, func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		return -1
	})
}

// clean lets instead decide on control characters.
func clean(text string, instead func(rune) rune) string {
	text = escapes.ReplaceAllString(strings.ToValidUTF8(text, "\uFFFD"), "")
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r):
			return instead(r)
		case unicode.Is(unicode.Bidi_Control, r), r == '\u2028', r == '\u2029':
			return -1 // they make a terminal show text in another order than it has
		default:
			return r
		}
	}, text)
}
