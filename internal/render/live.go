package render

import (
	"fmt"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"
)

const barWidth = 20

// live returns what is running, as lines that fit the width, at most height of them. What was begun
// last matters most, so lines are left out from the top of a step's tasks.
func (b *board) live(now time.Time, frame, width, height int) []string {
	spinner := []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
	var lines []string
	for _, s := range b.steps {
		head := string(spinner[frame%len(spinner)]) + " " + Line(s.name)
		var below []string
		for _, t := range s.tasks {
			name := Line(t.Name)
			if t.Detail != "" {
				name += ": " + Line(t.Detail)
			}
			below = append(below, fit("  "+name, t.progress(width, now.Sub(t.started))+elapsed(now.Sub(t.started)), width))
		}
		for _, l := range s.logs[max(0, len(s.logs)-liveLogs):] {
			below = append(below, fit("  | "+Line(l), "", width))
		}
		room := max(0, height-len(lines)-1)
		below = below[max(0, len(below)-room):]
		lines = append(lines, fit(head, elapsed(now.Sub(s.started)), width))
		lines = append(lines, below...)
	}
	return lines[:min(len(lines), height)]
}

// progress says how far a task is after some time, and of a transfer how fast it has been.
func (t *taskState) progress(width int, took time.Duration) string {
	text := progress(t.Task)
	if text == "" {
		return ""
	}
	const wide = 80
	if t.Unit == "bytes" && took >= time.Second && width >= wide {
		text += fmt.Sprintf(" %.1f MB/s", float64(t.Current)/1e6/took.Seconds())
	}
	if t.Total > 0 && width >= wide {
		full := int(min(max(t.Current, 0), t.Total) * barWidth / t.Total)
		text = "[" + strings.Repeat("=", full) + strings.Repeat(" ", barWidth-full) + "] " + text
	}
	return text + "  "
}

// elapsed is coarse: a running clock with hundredths is only noise.
func elapsed(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Truncate(100*time.Millisecond).Seconds())
	}
	return d.Truncate(time.Second).String()
}

// fit sets left and right at the two ends of a line that is narrower than width, so that no
// terminal breaks it, and shortens left where both don't fit.
func fit(left, right string, width int) string {
	room := width - 1
	if right != "" {
		right = "  " + right
	}
	if runewidth.StringWidth(right) >= room {
		right = ""
	}
	room -= runewidth.StringWidth(right)
	left = runewidth.Truncate(left, room, "…")
	if right == "" {
		return left
	}
	return runewidth.FillRight(left, room) + right
}
