package gitlab_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/internal/report"
	"strake.dev/strake/internal/report/gitlab"
	"strake.dev/strake/internal/report/reporttest"
	"strake.dev/strake/internal/report/text"
	"strake.dev/strake/stages"
)

// section is how GitLab finds the marks of sections in a log.
var section = regexp.MustCompile(`section_(start|end):(\d+):([A-Za-z0-9_.-]+)(\[[^\]\n]*\])?\r\x1b\[0K`)

// checkLog checks that a log has pairs of strake's own sections, and no other control characters.
func checkLog(t *testing.T, log string, most int) {
	t.Helper()
	open := ""
	n := 0
	for _, m := range section.FindAllStringSubmatch(log, -1) {
		switch {
		case !strings.HasPrefix(m[3], "strake_"):
			t.Errorf("section %q", m[0])
		case m[1] == "start" && open == "":
			open = m[3]
			n++
		case m[1] == "end" && open == m[3]:
			open = ""
		default:
			t.Errorf("%s of section %s in section %q", m[1], m[3], open)
		}
	}
	if open != "" || n > most {
		t.Errorf("%d sections, open: %q", n, open)
	}
	rest := strings.ReplaceAll(section.ReplaceAllString(log, ""), "\x1b[0K", "")
	if strings.ContainsAny(rest, "\x1b\r\x00") {
		t.Errorf("control characters in %q", rest)
	}
}

func FuzzLog(f *testing.F) {
	for _, hostile := range reporttest.Hostile {
		f.Add(hostile)
	}
	f.Fuzz(func(t *testing.T, hostile string) {
		var log strings.Builder
		if err := text.Write(&log, reporttest.All(hostile), gitlab.Groups()); err != nil {
			t.Fatal(err)
		}
		checkLog(t, log.String(), 2)
		var live strings.Builder
		g := render.NewGrouped(&live, nil, gitlab.Groups())
		for _, e := range []stages.Event{
			{Type: stages.StepStarted, Step: hostile},
			{Type: stages.LogLine, Step: hostile, Message: hostile},
			{Type: stages.StepFinished, Step: hostile, Error: hostile},
			{Type: stages.Warning, Message: hostile},
		} {
			g.Observe(e)
		}
		g.Close()
		checkLog(t, live.String(), 1)
	})
}

func TestPlan(t *testing.T) {
	var out strings.Builder
	if err := gitlab.Plan(&out, reporttest.Example().Run(report.Failed, 1, "x")); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), `{"create":1,"update":1,"delete":1}`+"\n"; got != want {
		t.Errorf("plan is %s, want %s", got, want)
	}
}

func TestDotenv(t *testing.T) {
	var out strings.Builder
	if err := gitlab.Dotenv(&out, reporttest.Example().Run(report.Failed, 1, "x")); err != nil {
		t.Fatal(err)
	}
	want := `STRAKE_OUTCOME=failed
STRAKE_EXIT_CODE=1
STRAKE_RUN=20260102T030405.678Z-abcd
STRAKE_CHANGED=true
STRAKE_CREATE=1
STRAKE_UPDATE=1
STRAKE_DELETE=1
STRAKE_IMAGES=2
STRAKE_IMAGE_APP=r.io/app@sha256:1
STRAKE_IMAGE_REDIS_7=r.io/redis@sha256:2
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
}

var variable = regexp.MustCompile(`^STRAKE_[A-Z0-9_]*=[^\x00-\x1f\x7f]*$`)

// GitLab takes no file at all that is beyond its limits.
func TestDotenvKeepsToTheLimits(t *testing.T) {
	many := reporttest.New("run", "build-kbld")
	for i := range 100 {
		image := stages.Image{From: fmt.Sprintf("app-%d", i), To: strings.Repeat("x", 20*i), Action: stages.ImageBuilt}
		many.Event(stages.Event{Type: stages.ImageFinal, Image: &image})
	}
	runs := []*report.Run{many.Run(report.Succeeded, 0, "")}
	for _, hostile := range reporttest.Hostile {
		runs = append(runs, reporttest.All(hostile))
	}
	for _, run := range runs {
		var out strings.Builder
		if err := gitlab.Dotenv(&out, run); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if out.Len() > 5<<10 || len(lines) > 20 {
			t.Errorf("%d bytes, %d variables", out.Len(), len(lines))
		}
		names := map[string]bool{}
		for _, line := range lines {
			name, _, _ := strings.Cut(line, "=")
			if !variable.MatchString(line) || names[name] {
				t.Errorf("line %q", line)
			}
			names[name] = true
		}
		if !strings.Contains(out.String(), fmt.Sprintf("\nSTRAKE_IMAGES=%d\n", len(run.Images))) {
			t.Errorf("variables are %s", out.String())
		}
	}
}
