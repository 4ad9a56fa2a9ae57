package markdown

import (
	"fmt"
	"strings"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/internal/report"
	"strake.dev/strake/internal/report/text"
	"strake.dev/strake/stages"
)

const (
	// maxDiff is how many bytes of one diff are shown, and maxLogs how many of a failed step's last log lines.
	maxDiff = 16 << 10
	maxLogs = 100
)

var signs = map[report.Outcome]string{
	report.Succeeded: "✅", report.Pending: "🟡", report.Failed: "❌", report.Interrupted: "⛔", report.TimedOut: "⏱️", report.Unfinished: "❔",
}

// A page is what fits into a number of bytes.
type page struct {
	out  strings.Builder
	room int
	// dropped counts the parts that didn't fit.
	dropped int
}

// cut is what a page that isn't whole ends with; room for it is kept.
const cut = "\n> **Cut here:** %d more parts don't fit into the size that is allowed. `strake report` shows all of it.\n"

// add adds a part, if it fits as a whole and all before it did.
func (p *page) add(format string, args ...any) {
	part := fmt.Sprintf(format, args...)
	if p.dropped > 0 || p.out.Len()+len(part)+len(cut)+10 > p.room {
		p.dropped++
		return
	}
	p.out.WriteString(part)
}

// Render returns the report in at most limit bytes; 0 or less than a kilobyte is nothing. What matters most stands
// first, and what doesn't fit is left out part by part: a diff, the log of a step, a line of a list.
func Render(run *report.Run, limit int) string {
	if limit < 1<<10 {
		return ""
	}
	p := &page{room: limit}
	p.add("### %s %s%s: %s\n\n", signs[run.Outcome()], Code("strake "+run.Command), forApp(run.App), run.Outcome())
	p.add("%s\n\n", strings.TrimPrefix(text.Totals(run.Counts()), "counts: "))
	problems(p, run)
	steps(p, run)
	images(p, run)
	changes(p, run)
	warnings(p, run)
	logs(p, run)
	if p.dropped > 0 {
		fmt.Fprintf(&p.out, cut, p.dropped)
	}
	return p.out.String()
}

func forApp(app string) string {
	if app == "" {
		return ""
	}
	return " " + Code(app)
}

func problems(p *page, run *report.Run) {
	if ds := run.Verdict.Diagnostics; len(ds) > 0 {
		for _, d := range ds {
			p.add("- %s %s%s\n", Code(fmt.Sprintf("%s:%d:%d", d.File, d.Line, d.Column)), Code(strings.TrimPrefix(d.Path+": ", ": ")+d.Message), hint(d.Hint))
		}
		p.add("\n")
		return
	}
	if run.Error != "" {
		p.add("%s", Block("", run.Error))
		if run.Hint != "" {
			p.add("\nHint: %s\n", Code(run.Hint))
		}
		p.add("\n")
	}
}

func hint(text string) string {
	if text == "" {
		return ""
	}
	return " – " + Code(text)
}

func steps(p *page, run *report.Run) {
	if len(run.Steps)+len(run.Planned) == 0 {
		return
	}
	p.add("| step | stage | |\n|---|---|---|\n")
	for _, s := range run.Steps {
		p.add("| %s | %s | %s |\n", Cell(s.Name), Cell(string(s.Stage)), Cell(text.How(s)))
	}
	for _, s := range run.NotRun() {
		p.add("| %s | %s | %s |\n", Cell(s.Name), Cell(string(s.Stage)), Cell("not run"))
	}
	p.add("\n")
}

func images(p *page, run *report.Run) {
	if len(run.Images) == 0 {
		return
	}
	p.add("**Images**\n\n")
	for _, i := range run.Images {
		why := ""
		if i.Reason != "" {
			why = ": " + Code(i.Reason)
		}
		p.add("- %s → %s, %s%s\n", Code(i.From), Code(i.To), Code(i.Action), why)
	}
	p.add("\n")
}

func changes(p *page, run *report.Run) {
	what := "Changes"
	if len(run.PlannedChanges) > 0 {
		what = "Planned changes"
	}
	for _, c := range run.AllChanges() {
		if !render.Pending(c.Op) {
			continue
		}
		if what != "" {
			p.add("**%s**\n\n", what)
			what = ""
		}
		why := ""
		if c.Reason != "" {
			why = ": " + Code(c.Reason)
		}
		p.add("- %s %s%s\n", c.Op, Code(render.Object(c)), why)
	}
	if what == "" {
		p.add("\n")
	}
	for _, c := range run.AllChanges() {
		if render.Pending(c.Op) && c.Diff != "" {
			p.add("<details><summary>%s</summary>\n\n%s\n</details>\n\n", Cell(render.Object(c)), Block("diff", shorten(c.Diff, maxDiff)))
		}
	}
}

// shorten cuts a text between two lines.
func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	at := max(0, strings.LastIndexByte(text[:limit], '\n'))
	return fmt.Sprintf("%s\n… %d more lines", text[:at], strings.Count(text[at:], "\n"))
}

func warnings(p *page, run *report.Run) {
	for i, w := range run.Warnings {
		if i == 0 {
			p.add("**Warnings**\n\n")
		}
		p.add("- %s\n", Code(strings.TrimPrefix(w.Step+": ", ": ")+w.Message))
	}
	if len(run.Warnings) > 0 {
		p.add("\n")
	}
}

func logs(p *page, run *report.Run) {
	for _, s := range run.Steps {
		if s.Status != report.StatusFailed && s.Status != report.StatusRunning {
			continue
		}
		var failed []string
		for _, t := range s.Tasks {
			if t.State == stages.TaskFailed {
				failed = append(failed, "failed: "+render.Line(t.Name))
			}
		}
		lines, before := s.Tail(maxLogs)
		if before > 0 {
			lines = append([]string{fmt.Sprintf("(%d lines before)", before)}, lines...)
		}
		if lines = append(failed, lines...); len(lines) > 0 {
			p.add("<details><summary>Log of %s</summary>\n\n%s\n</details>\n\n", Cell(s.Name), Block("", strings.Join(lines, "\n")))
		}
	}
}
