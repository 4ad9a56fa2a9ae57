package github_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/internal/report"
	"strake.dev/strake/internal/report/github"
	"strake.dev/strake/internal/report/reporttest"
	"strake.dev/strake/internal/report/text"
	"strake.dev/strake/stages"
)

// A command is what the runner reads from a line.
type command struct {
	name  string
	props map[string]string
	data  string
}

// parse reads lines as the runner does, by the rules of its ActionCommand: “::name props::data” after white
// space, or “##[name props]data” anywhere. Lines end with \n, \r or both. Unlike the runner it takes every name
// for one that it knows.
func parse(log string) []command {
	var all []command
	for line := range strings.SplitSeq(strings.ReplaceAll(strings.ReplaceAll(log, "\r\n", "\n"), "\r", "\n"), "\n") {
		trimmed := strings.TrimLeftFunc(line, unicode.IsSpace)
		if rest, ok := strings.CutPrefix(trimmed, "::"); ok {
			if info, data, ok := strings.Cut(rest, "::"); ok {
				all = append(all, newCommand(info, data, ","))
				continue
			}
		}
		if _, rest, ok := strings.Cut(line, "##["); ok {
			if info, data, ok := strings.Cut(rest, "]"); ok {
				all = append(all, newCommand(info, data, ";"))
			}
		}
	}
	return all
}

func newCommand(info, data, separator string) command {
	unescape := strings.NewReplacer("%0D", "\r", "%0A", "\n", "%3A", ":", "%2C", ",", "%25", "%")
	name, props, _ := strings.Cut(info, " ")
	c := command{name: name, props: map[string]string{}, data: unescape.Replace(data)}
	for p := range strings.SplitSeq(props, separator) {
		if k, v, ok := strings.Cut(p, "="); ok {
			c.props[k] = unescape.Replace(v)
		}
	}
	return c
}

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"plain :: text":          "plain :: text",
		"::set-env name=X::1":    ": :set-env name=X::1",
		" \t::error::x":          " \t: :error::x",
		"\u00a0\ufeff::error::x": "\u00a0\ufeff: :error::x",
		"a ##[error]x":           "a ## [error]x",
		"a\r::error::x":          "a ::error::x",
		"":                       "",
	} {
		if got := github.Escape(in); got != want {
			t.Errorf("Escape(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzEscape(f *testing.F) {
	for _, text := range reporttest.Hostile {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, line string) {
		got := render.EscapeLines(line, github.Escape)
		if found := parse(got); len(found) > 0 {
			t.Errorf("%q holds %+v", got, found)
		}
	})
}

// Whatever the texts of a run hold, the log has strake's own commands and no others.
func FuzzLog(f *testing.F) {
	for _, text := range reporttest.Hostile {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, hostile string) {
		if hostile != "" { // which would be no error
			checkLog(t, hostile)
		}
	})
}

func TestHostileTexts(t *testing.T) {
	for _, hostile := range reporttest.Hostile {
		t.Run(fmt.Sprintf("%.20q", hostile), func(t *testing.T) { checkLog(t, hostile) })
	}
}

func checkLog(t *testing.T, hostile string) {
	t.Helper()
	run := reporttest.All(hostile)
	run.Verdict.Diagnostics = []report.Diagnostic{{File: hostile, Line: 1, Column: 2, Path: hostile, Message: hostile, Hint: hostile}}
	var log strings.Builder
	if err := text.Write(&log, run, github.Groups()); err != nil {
		t.Fatal(err)
	}
	log.WriteString(github.Annotations(run, github.FromRoot("")))
	counts := map[string]int{}
	for _, c := range parse(log.String()) {
		counts[c.name]++
		for k := range c.props {
			if !strings.Contains("file line col title", k) {
				t.Errorf("property %q of %+v", k, c)
			}
		}
		if strings.ContainsFunc(c.data, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) {
			t.Errorf("control characters in %+v", c)
		}
	}
	if counts["group"] != counts["endgroup"] || counts["group"] > len(run.Steps) {
		t.Errorf("groups: %v", counts)
	}
	delete(counts, "group")
	delete(counts, "endgroup")
	if diff := cmp.Diff(map[string]int{"error": 2, "warning": 1}, counts); diff != "" {
		t.Errorf("commands (-want +got):\n%s\n%s", diff, log.String())
	}
}

// The live log is as safe as that of a report.
func TestGroupsOfALiveLog(t *testing.T) {
	for _, hostile := range reporttest.Hostile {
		var log strings.Builder
		g := render.NewGrouped(&log, nil, github.Groups())
		for _, e := range []stages.Event{
			{Type: stages.StepStarted, Step: hostile},
			{Type: stages.LogLine, Step: hostile, Message: hostile},
			{Type: stages.Warning, Message: hostile},
			{Type: stages.StepFinished, Step: hostile, Seconds: 1},
			{Type: stages.LogLine, Message: hostile},
		} {
			g.Observe(e)
		}
		g.Close()
		var names []string
		for _, c := range parse(log.String()) {
			names = append(names, c.name)
		}
		if diff := cmp.Diff([]string{"group", "endgroup"}, names); diff != "" {
			t.Errorf("%q: commands (-want +got):\n%s\n%s", hostile, diff, log.String())
		}
	}
}

func TestAnnotationsKeepToTheLimit(t *testing.T) {
	for _, n := range []int{0, 1, 10, 11, 500} {
		run := reporttest.New("run").Run(report.Failed, 3, "")
		for i := range n {
			run.Verdict.Diagnostics = append(run.Verdict.Diagnostics, report.Diagnostic{File: "/repo/sub/app.yaml", Line: i + 1, Column: 3, Path: "spec", Message: "unknown field, 100%\nsecond line"})
			run.Warnings = append(run.Warnings, report.Warning{Message: "w"})
		}
		all := parse(github.Annotations(run, github.FromRoot("/repo")))
		counts := map[string]int{}
		for _, c := range all {
			counts[c.name]++
		}
		if counts["error"] != min(n, 10) || counts["warning"] != min(n, 10) || len(all) != 2*min(n, 10) {
			t.Errorf("%d problems: %v", n, counts)
		}
		if n == 0 {
			continue
		}
		want := command{"error", map[string]string{"file": "sub/app.yaml", "line": "1", "col": "3", "title": "strake: /repo/sub/app.yaml"}, "spec: unknown field, 100%\nsecond line"}
		if diff := cmp.Diff(want, all[0], cmp.AllowUnexported(command{})); diff != "" {
			t.Errorf("first annotation (-want +got):\n%s", diff)
		}
		if n > 10 && all[9].data != fmt.Sprintf("%d more errors: the summary of the step has them all", n-9) {
			t.Errorf("last annotation is %+v", all[9])
		}
	}
}

func TestFailedStepHasAPlace(t *testing.T) {
	run := reporttest.Example().Run(report.Failed, 1, "deploy-kapp (app.yaml:9:3): deployment/web isn't ready")
	all := parse(github.Annotations(run, github.FromRoot("")))
	want := []command{
		{"error", map[string]string{"file": "app.yaml", "line": "9", "col": "3", "title": "strake: deploy-kapp"}, "deployment/web isn't ready"},
		{"warning", map[string]string{"file": "app.yaml", "line": "9", "col": "3", "title": "strake: deploy-kapp"}, "the namespace is labelled twice"},
	}
	if diff := cmp.Diff(want, all, cmp.AllowUnexported(command{})); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
}

// Several commands may run in one step. GitHub drops a summary of more than 1 MiB as a whole.
func TestSummaryKeepsToTheLimit(t *testing.T) {
	file := filepath.Join(t.TempDir(), "summary")
	run := reporttest.Many(60_000).Run(report.Succeeded, 0, "")
	for range 3 {
		if err := github.AddSummary(file, run); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > 1<<20 || len(data) < 900<<10 {
			t.Errorf("summary of %d bytes", len(data))
		}
		if !regexp.MustCompile("\n> \\*\\*Cut here:\\*\\* \\d+ more parts don't fit into the size that is allowed. `strake report` shows all of it.\n$").Match(data) {
			t.Errorf("the summary ends with %q", data[len(data)-200:])
		}
	}
}

var delimited = regexp.MustCompile(`^([a-z-]+)<<(strake_\S{20,})$`)

// readOutputs reads the file of outputs as the runner does.
func readOutputs(t *testing.T, file string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	outputs := map[string]string{}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		if m := delimited.FindStringSubmatch(lines[i]); m != nil {
			var value []string
			for i++; lines[i] != m[2]; i++ {
				value = append(value, lines[i])
			}
			outputs[m[1]] = strings.Join(value, "\n")
			continue
		}
		k, v, ok := strings.Cut(lines[i], "=")
		if !ok {
			t.Fatalf("line %q", lines[i])
		}
		outputs[k] = v
	}
	return outputs
}

func TestOutputs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "output")
	if err := github.AddOutputs(file, reporttest.Example().Run(report.Failed, 1, "x")); err != nil {
		t.Fatal(err)
	}
	got := readOutputs(t, file)
	var images []stages.Image
	if err := json.Unmarshal([]byte(got["images"]), &images); err != nil || len(images) != 2 || images[0].From != "app" {
		t.Errorf("images are %s (%v)", got["images"], err)
	}
	delete(got, "images")
	want := map[string]string{
		"outcome": "failed", "exit-code": "1", "run": "20260102T030405.678Z-abcd", "changed": "true", "create": "1", "update": "1", "delete": "1",
		"digests": `{"app":"sha256:1","redis:7":"sha256:2"}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outputs (-want +got):\n%s", diff)
	}
	for _, hostile := range reporttest.Hostile {
		file := filepath.Join(t.TempDir(), "output")
		if err := github.AddOutputs(file, reporttest.All(hostile)); err != nil {
			t.Fatal(err)
		}
		for name, value := range readOutputs(t, file) {
			if _, known := want[name]; !known && name != "images" {
				t.Errorf("%q sets %s=%s", hostile, name, value)
			}
		}
	}
}

func TestMask(t *testing.T) {
	if got, want := github.Mask("a%b\nc"), "::add-mask::a%25b%0Ac\n"; got != want {
		t.Errorf("mask is %q, want %q", got, want)
	}
}

func TestLogOfARun(t *testing.T) {
	var log strings.Builder
	if err := text.Write(&log, reporttest.Example().Run(report.Failed, 1, "deploy-kapp: deployment/web isn't ready"), github.Groups()); err != nil {
		t.Fatal(err)
	}
	want := `strake run: default/demo failed (exit code 1) after 29.8s, ` + reporttest.At.Format(time.RFC3339) + `
fetch-vendir  done in 1.50s
template-ytt  skipped: nothing changed since the last run
::group::build-kbld
  app [2/3] RUN go build: done in 20.0s
::endgroup::
build-kbld  done in 20.0s
publish-artifact  done in 0.30s
::group::deploy-kapp
  deployment/web: failed in 8.00s: Pod web-1: ImagePullBackOff
::endgroup::
deploy-kapp  failed after 8.00s
deploy-ssa  not run
image app built: r.io/app@sha256:1 (src/main.go changed)
image redis:7 resolved: r.io/redis@sha256:2
push image/r.io/app
create Deployment/web (default)
update ConfigMap/web (default)
delete Secret/old (default)
warning: deploy-kapp: the namespace is labelled twice
counts: steps-done=3 steps-skipped=1 steps-failed=1 steps-not-run=1 create=1 update=1 delete=1 unchanged=1 push=1 images-built=1 images-resolved=1 build-steps-done=1 build-steps-cached=1 waits=1 warnings=1
error: deploy-kapp: deployment/web isn't ready
`
	if diff := cmp.Diff(want, log.String()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}
