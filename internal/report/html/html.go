// Package html renders a run as one page that needs nothing else: no script, no network, no font. A policy
// in the page forbids what a text from elsewhere could bring in, should one ever get past the escaping of
// html/template.
package html

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // for the page
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/internal/report"
	"strake.dev/strake/internal/report/text"
	"strake.dev/strake/stages"
)

var (
	//go:embed page.html.tmpl
	source string
	//go:embed style.css
	style string
)

const (
	// maxDiff is how many bytes of one diff are shown, and maxDiffs of all.
	maxDiff  = 64 << 10
	maxDiffs = 2 << 20
	// maxLogs is how many of the last log lines of a step are shown.
	maxLogs = 1000
)

// policy allows the page's own style and nothing else.
var policy = func() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"
}()

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"line": render.Line,
	"list": func(texts []string) string { return render.Line(strings.Join(texts, ", ")) },
	"how":  text.How,
}).Parse(source))

// A view is what the page shows.
type view struct {
	*report.Run
	Policy string
	// Style is a constant of this package.
	Style    template.CSS
	Headline string
	Totals   []report.Number
	Counts   []report.Number
	Error    string
	Hint     string
	Timeline timeline
	Changes  []change
	Logs     []log
}

type change struct {
	Op, Object, Reason string
	Images             []stages.ImageChange
	Diff               []diffLine
	// Cut tells that the diff isn't whole.
	Cut bool
}

type diffLine struct{ Class, Text string }

type log struct {
	Step   string
	Failed bool
	Before int
	Lines  string
}

// Write writes the page.
func Write(w io.Writer, run *report.Run) error {
	v := view{
		Run: run, Policy: policy, Style: template.CSS(style), Headline: text.Headline(run), //nolint:gosec // it is this package's own
		Error: render.Text(run.Error), Hint: render.Text(run.Hint), Timeline: newTimeline(run), Changes: changes(run), Logs: logs(run),
		Counts: run.Counts().Numbers(),
	}
	for _, n := range v.Counts {
		if n.Value > 0 {
			v.Totals = append(v.Totals, report.Number{Name: strings.ReplaceAll(n.Name, "-", " "), Value: n.Value})
		}
	}
	var out bytes.Buffer
	if err := page.Execute(&out, v); err != nil {
		return fmt.Errorf("page: %w", err)
	}
	_, err := out.WriteTo(w)
	return err
}

func changes(run *report.Run) []change {
	var all []change
	room := maxDiffs
	for _, c := range run.AllChanges() {
		if !render.Pending(c.Op) {
			continue
		}
		shown := change{Op: c.Op, Object: render.Object(c), Reason: render.Line(c.Reason), Images: c.Images}
		diff := render.Text(c.Diff)
		if limit := min(maxDiff, room); len(diff) > limit {
			diff, shown.Cut = diff[:max(0, strings.LastIndexByte(diff[:limit], '\n'))], true
		}
		room -= len(diff)
		for l := range strings.Lines(diff) {
			l = strings.TrimSuffix(l, "\n")
			class := ""
			switch {
			case strings.HasPrefix(l, "+"):
				class = "add"
			case strings.HasPrefix(l, "-"):
				class = "del"
			case strings.HasPrefix(l, "@@"):
				class = "at"
			}
			shown.Diff = append(shown.Diff, diffLine{class, l})
		}
		all = append(all, shown)
	}
	return all
}

func logs(run *report.Run) []log {
	var all []log
	for _, s := range run.Steps {
		lines, before := s.Tail(maxLogs)
		if len(lines) > 0 {
			all = append(all, log{
				Step: render.Line(s.Name), Failed: s.Status == report.StatusFailed, Before: before,
				Lines: render.Text(strings.Join(lines, "\n")),
			})
		}
	}
	return all
}
