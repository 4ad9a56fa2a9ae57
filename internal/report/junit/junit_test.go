package junit_test

import (
	"encoding/xml"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/internal/report"
	"strake.dev/strake/internal/report/junit"
	"strake.dev/strake/internal/report/reporttest"
)

func render(t *testing.T, run *report.Run) string {
	t.Helper()
	var out strings.Builder
	if err := junit.Write(&out, run); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestReport(t *testing.T) {
	r := reporttest.New("run", "fetch-vendir", "template-ytt", "deploy-kapp", "deploy-ssa")
	r.Start("fetch-vendir")
	r.After(1500*1e6).Finish(1.5, "")
	r.Start("template-ytt")
	r.Skip("nothing changed")
	r.Start("deploy-kapp")
	r.Task("wait", "1", "deployment/web", "failed", "no luck")
	r.Finish(0, "deployment/web isn't ready\nsee above")
	got := render(t, r.Run(report.Failed, 1, "deploy-kapp: deployment/web isn't ready"))
	head, rest, _ := strings.Cut(got, "    <properties>")
	_, rest, _ = strings.Cut(rest, "</properties>\n")
	want := `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="strake" tests="5" failures="1" skipped="2" time="1.500">
  <testsuite name="strake" tests="1" failures="0" errors="0" skipped="0" time="1.500" timestamp="2026-01-02T03:04:05">
    <testcase classname="strake" name="strake run" time="1.500"></testcase>
  </testsuite>
  <testsuite name="fetch" tests="1" failures="0" errors="0" skipped="0" time="1.500" timestamp="2026-01-02T03:04:05">
    <testcase classname="strake.fetch" name="fetch-vendir" file="app.yaml" time="1.500"></testcase>
  </testsuite>
  <testsuite name="template" tests="1" failures="0" errors="0" skipped="1" time="0.000" timestamp="2026-01-02T03:04:06">
    <testcase classname="strake.template" name="template-ytt" file="app.yaml" time="0.000">
      <skipped message="nothing changed"></skipped>
    </testcase>
  </testsuite>
  <testsuite name="deploy" tests="2" failures="1" errors="0" skipped="1" time="0.000" timestamp="2026-01-02T03:04:06">
    <testcase classname="strake.deploy" name="deploy-kapp" file="app.yaml" time="0.000">
      <failure message="deployment/web isn&#39;t ready see above">deployment/web isn&#39;t ready&#xA;see above&#xA;failed: deployment/web: no luck</failure>
    </testcase>
    <testcase classname="strake.deploy" name="deploy-ssa" file="app.yaml" time="0.000">
      <skipped message="the run didn&#39;t come to it"></skipped>
    </testcase>
  </testsuite>
</testsuites>
`
	if diff := cmp.Diff(want, head+rest); diff != "" {
		t.Errorf("report without properties (-want +got):\n%s", diff)
	}
}

// A command that fails before any step, and one that was killed, are failed tests as well.
func TestFailureOfNoStep(t *testing.T) {
	invalid := reporttest.New("run").Run(report.Failed, 3, "app.yaml:1:2: unknown field")
	killed := reporttest.New("run", "fetch-vendir").Run("", 0, "")
	for text, run := range map[string]*report.Run{"app.yaml:1:2: unknown field": invalid, "the process was killed": killed} {
		if got := render(t, run); !strings.Contains(got, text) || !strings.Contains(got, ` failures="1"`) {
			t.Errorf("%q isn't told as a failure:\n%s", text, got)
		}
	}
}

// check reads a report as strictly as the standard is.
func check(t *testing.T, text string) {
	t.Helper()
	dec := xml.NewDecoder(strings.NewReader(text))
	cases := 0
	for {
		token, err := dec.Token()
		if token == nil {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "testcase" {
			cases++
		}
		if c, ok := token.(xml.CharData); ok && strings.ContainsFunc(string(c), func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) {
			t.Errorf("control characters in %q", c)
		}
	}
	if cases != 4 {
		t.Errorf("%d cases, want those of the command and of three steps:\n%s", cases, text)
	}
}

func FuzzReport(f *testing.F) {
	for _, hostile := range reporttest.Hostile {
		f.Add(hostile)
	}
	f.Fuzz(func(t *testing.T, hostile string) { check(t, render(t, reporttest.All(hostile))) })
}
