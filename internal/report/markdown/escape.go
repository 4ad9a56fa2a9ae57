// Package markdown renders a run as GitHub's and GitLab's Markdown, for summaries of jobs and comments on
// changes. Texts from elsewhere stand in code, where they mean nothing: no link, image, mention or HTML
// comes of them.
package markdown

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"strake.dev/strake/internal/render"
)

// Code is a text of one line as a code span: https://spec.commonmark.org/0.31.2/#code-spans.
func Code(text string) string {
	text = render.Line(text)
	if text == "" {
		return "–"
	}
	fence := strings.Repeat("`", longestRun(text, '`')+1)
	if strings.HasPrefix(text, "`") || strings.HasSuffix(text, "`") {
		text = " " + text + " " // a space at both ends is left out again
	}
	return fence + text + fence
}

// Cell is [Code] for the cell of a table, which a “|” would end even in a code span.
func Cell(text string) string {
	text = render.Line(text)
	if text == "" {
		return "–"
	}
	var out strings.Builder
	out.WriteString("<code>")
	for _, r := range text {
		if r < utf8.RuneSelf && r != ' ' && !isWord(r) {
			fmt.Fprintf(&out, "&#%d;", r)
			continue
		}
		out.WriteRune(r)
	}
	out.WriteString("</code>")
	return out.String()
}

func isWord(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// Block is a text of several lines as a fenced code block, in a language for colours or none.
func Block(language, text string) string {
	text = strings.TrimRight(render.Text(text), "\n")
	fence := strings.Repeat("`", max(3, longestRun(text, '`')+1))
	return fence + language + "\n" + text + "\n" + fence + "\n"
}

// longestRun is how many of a character stand side by side in a text at most.
func longestRun(text string, c rune) int {
	longest, run := 0, 0
	for _, r := range text {
		if r != c {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}
