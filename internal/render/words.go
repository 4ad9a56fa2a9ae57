package render

import (
	"cmp"
	"fmt"
	"time"

	"strake.dev/strake/stages"
)

// Seconds says how long something took, with the precision that matters to people.
func Seconds(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.2fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	default:
		d = d.Round(time.Second)
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
}

func toDuration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

// ended says how a step ended. The error itself is the command's to print.
func ended(e stages.Event) string {
	took := Seconds(toDuration(e.Seconds))
	switch {
	case e.Type == stages.StepSkipped:
		return "skipped: " + cmp.Or(Line(e.Message), "nothing to do")
	case e.Error != "":
		return "failed after " + took
	default:
		return "done in " + took
	}
}

// taskEnded says how a task ended, after it took that long.
func taskEnded(t stages.Task, took time.Duration) string {
	text := Line(t.Name)
	switch t.State {
	case stages.TaskCached:
		return text + ": cached"
	case stages.TaskFailed:
		text += ": failed after " + Seconds(took)
	default:
		text += ": done in " + Seconds(took)
	}
	if t.State == stages.TaskFailed && t.Detail != "" {
		text += ": " + Line(t.Detail)
	}
	return text
}

// progress says how far a task is; empty when it doesn't count.
func progress(t stages.Task) string {
	const mega = 1e6
	switch {
	case t.Current == 0 && t.Total == 0:
		return ""
	case t.Unit == "bytes" && t.Total > 0:
		return fmt.Sprintf("%.1f/%.1f MB", float64(t.Current)/mega, float64(t.Total)/mega)
	case t.Unit == "bytes":
		return fmt.Sprintf("%.1f MB", float64(t.Current)/mega)
	case t.Total > 0:
		return Line(fmt.Sprintf("%d/%d %s", t.Current, t.Total, t.Unit))
	default:
		return Line(fmt.Sprintf("%d %s", t.Current, t.Unit))
	}
}

// Object names what a change is about: kind/name (namespace).
func Object(c stages.Change) string {
	text := Line(c.Kind) + "/" + Line(c.Name)
	if c.Namespace != "" {
		text += " (" + Line(c.Namespace) + ")"
	}
	return text
}

// Change says what a change does, to what, and why.
func Change(c stages.Change) string {
	text := Line(c.Op) + " " + Object(c)
	if c.Reason != "" {
		text += ": " + Line(c.Reason)
	}
	return text
}

// Image says what an image became, and why.
func Image(i stages.Image) string {
	text := fmt.Sprintf("image %s %s: %s", Line(i.From), Line(i.Action), Line(i.To))
	if i.Reason != "" {
		text += " (" + Line(i.Reason) + ")"
	}
	return text
}

// Pending tells whether a change with that operation alters something, or would.
func Pending(op string) bool {
	switch op {
	case "create", "update", "delete", "build", "push":
		return true
	default:
		return false
	}
}

// Counts counts changes by their operation.
func Counts(changes []stages.Change) map[string]int {
	counts := map[string]int{}
	for _, c := range changes {
		counts[c.Op]++
	}
	return counts
}
