package ytt

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"strake.dev/strake/stages"
)

// templateNumber is how ytt counts the templates of a process: equal runs would differ by it.
var templateNumber = regexp.MustCompile(`__ytt_tpl\d+_`)

// setFlag is the flag of ytt by which values that are set get there.
const setFlag = "(data-value-yaml arg)"

// libraryError lays out an error of ytt for people, without what only ytt's authors can use, and
// adds advice for the usual causes.
func libraryError(err error) error {
	text := withoutBacktrace(err.Error())
	text = templateNumber.ReplaceAllString(text, "")
	text = strings.ReplaceAll(text, setFlag, "--set")
	text = layOut(text)
	return withHint(errors.New(text), "")
}

// panicError makes an error of what ytt panicked with.
func panicError(p any) error {
	return withHint(fmt.Errorf("ytt panicked: %v", p),
		"this is a fault in ytt, but often one that a change of the templates avoids: https://github.com/carvel-dev/ytt/issues")
}

// withHint adds the advice that fits the message, or else the given one, if there is any.
func withHint(err error, advice string) error {
	for _, h := range hints {
		if strings.Contains(err.Error(), h.cause) {
			advice = h.advice
			break
		}
	}
	if advice == "" {
		return err
	}
	return stages.WithHint(err, "%s", advice)
}

// layOut breaks the first line of an error of ytt, a chain such as “Overlaying x: Document y: Found
// z”, into a line for each link, as ytt's command does.
func layOut(text string) string {
	first, rest, _ := strings.Cut(text, "\n")
	var lines []string
	depth, begin := 0, 0
	for i := range len(first) {
		switch first[i] {
		case '(':
			depth++
		case ')':
			depth--
		case ':':
			// What stands in parentheses is one remark.
			next := i + len(": ")
			if depth == 0 && next < len(first) && first[i+1] == ' ' && first[next] >= 'A' && first[next] <= 'Z' {
				lines = append(lines, strings.Repeat("  ", len(lines))+first[begin:i+1])
				begin = next
			}
		}
	}
	lines = append(lines, strings.Repeat("  ", len(lines))+first[begin:])
	lines = append(lines, strings.Split(rest, "\n")...)
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

var (
	backtraceStart = regexp.MustCompile(` \(backtrace: goroutine \d+ \[running\]:`)
	// backtraceFile is the second line of each frame; the first one names the function.
	backtraceFile = regexp.MustCompile(`^\s+/\S+\.go:\d+( \+0x[0-9a-f]+)?$`)
)

// withoutBacktrace removes the backtrace that ytt adds to a panic which it has caught. The place in
// the template stands between its lines.
func withoutBacktrace(text string) string {
	if !backtraceStart.MatchString(text) {
		return text
	}
	text = backtraceStart.ReplaceAllString(text, "")
	text = strings.ReplaceAll(text, "- (p) ", "- ")
	var kept []string
	for line := range strings.SplitSeq(text, "\n") {
		switch {
		case backtraceFile.MatchString(line) && len(kept) > 0:
			kept = kept[:len(kept)-1]
		case strings.TrimSpace(line) == ")":
		default:
			kept = append(kept, line)
		}
	}
	// What ytt calls the reason was the backtrace alone.
	return strings.TrimSuffix(strings.TrimSpace(strings.Join(kept, "\n")), "reason:")
}
