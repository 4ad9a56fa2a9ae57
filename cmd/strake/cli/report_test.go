package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	validator "github.com/santhosh-tekuri/jsonschema/v6"

	"strake.dev/strake/internal/report"
	"strake.dev/strake/schema"
)

// reportArgs ask for every format of report.
func reportArgs(t *testing.T, dir string) []string {
	t.Helper()
	var args []string
	for _, format := range (&tool{}).reportNames() {
		args = append(args, "--report", format+"="+filepath.Join(dir, "reports", format))
	}
	return args
}

func readFile(t *testing.T, parts ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// numbers are the counts that each report tells, by the format's own means.
func numbers(t *testing.T, dir string) map[string]map[string]int {
	t.Helper()
	all := map[string]map[string]int{}
	read := func(format, text string, pattern *regexp.Regexp) {
		all[format] = map[string]int{}
		for _, m := range pattern.FindAllStringSubmatch(text, -1) {
			n, err := strconv.Atoi(m[2])
			if err != nil {
				t.Fatal(err)
			}
			all[format][m[1]] = n
		}
	}
	file := func(format string) string { return readFile(t, dir, "reports", format) }
	line := regexp.MustCompile(`\b([a-z-]+)=(\d+)\b`)
	pick := func(text, prefix string) string {
		for l := range strings.Lines(text) {
			if strings.HasPrefix(l, prefix) {
				return l
			}
		}
		t.Fatalf("no line begins with %q in\n%s", prefix, text)
		return ""
	}
	read("html", file("html"), regexp.MustCompile(`<data hidden data-count="([a-z-]+)" value="(\d+)">`))
	read("junit", file("junit"), regexp.MustCompile(`<property name="((?:steps|images|build|create|update|delete|unchanged|push|waits|warnings)[a-z-]*)" value="(\d+)">`))
	read("text", pick(file("text"), "counts: "), line)
	read("github", pick(file("github"), "counts: "), line)
	read("gitlab", pick(file("gitlab"), "counts: "), line)
	read("markdown", strings.Split(file("markdown"), "\n")[2], line)
	return all
}

func TestReportsAgree(t *testing.T) {
	for name, test := range map[string]struct {
		app  string
		args []string
		code int
	}{
		"run":              {app("built", someChanges), []string{"run"}, 0},
		"run that fails":   {app("reused", `{fail: no, changes: [{op: create, name: a}]}`), []string{"run"}, 1},
		"run that is late": {app("reused", `{hang: true}`), []string{"run", "--timeout", "500ms"}, 8},
		"plan":             {app("built", someChanges), []string{"plan", "--detailed-exitcode"}, 2},
		"invalid":          {app("built", "{x: 1}"), []string{"run"}, 3},
		"render":           {app("built", "{}"), []string{"render"}, 0},
		"run as App":       {app("built", someChanges), []string{"run", "-o", "app"}, 0},
		"Pipeline":         {targets(`{changes: [{op: create, name: a}]}`), []string{"run"}, 0},
		"part of it":       {targets(`{changes: [{op: create, name: a}]}`), []string{"run", "--target", "prod"}, 0},
		"Pipeline, failed": {targets("{fail: no}"), []string{"run"}, 1},
		"tolerated":        {targets("{fail: no}, continueOnError: true"), []string{"run"}, 0},
		"plan of Pipeline": {targets(someChanges), []string{"plan", "--detailed-exitcode"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			got := call(t.Context(), t, nil, test.app, append(test.args, reportArgs(t, dir)...)...)
			if got.code != test.code {
				t.Fatalf("exit code %d: %s", got.code, got.stderr)
			}
			run, err := report.Read(strings.NewReader(readFile(t, dir, "reports", "json")))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(run.Counts(), run.Verdict.Counts); diff != "" {
				t.Errorf("the verdict doesn't count what the events say (-events +verdict):\n%s", diff)
			}
			for format, counts := range numbers(t, dir) {
				for _, n := range run.Counts().Numbers() {
					if counts[n.Name] != n.Value {
						t.Errorf("%s: %s is %d, want %d", format, n.Name, counts[n.Name], n.Value)
					}
				}
			}
			c := run.Counts()
			if got, want := readFile(t, dir, "reports", "gitlab-plan"), fmt.Sprintf(`{"create":%d,"update":%d,"delete":%d}`, c.Changes.Create, c.Changes.Update, c.Changes.Delete); got != want+"\n" {
				t.Errorf("plan for GitLab is %s, want %s", got, want)
			}
			variables := readFile(t, dir, "reports", "gitlab-dotenv")
			for name, value := range map[string]any{
				"OUTCOME": run.Outcome(), "EXIT_CODE": test.code, "CREATE": c.Changes.Create, "UPDATE": c.Changes.Update, "DELETE": c.Changes.Delete, "IMAGES": len(run.Images),
			} {
				if want := fmt.Sprintf("STRAKE_%s=%v\n", name, value); !strings.Contains(variables, want) {
					t.Errorf("variables for GitLab lack %s:\n%s", want, variables)
				}
			}
			checkJUnit(t, readFile(t, dir, "reports", "junit"), run)
		})
	}
}

// targets is a Pipeline of three steps for two targets, of which the second one waits for the first.
func targets(put string) string {
	return `apiVersion: strake.dev/v1alpha1
kind: Pipeline
metadata: {name: demo}
spec:
  targets: [{name: staging}, {name: prod, needs: [staging]}]
  stages:
  - {name: docs, stage: template, uses: docs, with: {text: "a: 1"}}
  - {name: images, stage: build, uses: images, with: {action: built}}
  - {name: put, stage: deploy, uses: put, with: ` + put + `}
  - {name: never, stage: deploy, uses: put, when: "target == 'nowhere'"}
`
}

func checkJUnit(t *testing.T, text string, run *report.Run) {
	t.Helper()
	var doc struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Skipped  int `xml:"skipped,attr"`
		Cases    []struct {
			Failure, Skipped *struct{}
		} `xml:"testsuite>testcase"`
	}
	if err := xml.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	c := run.Counts().Steps
	failures := c.Failed
	if run.Error != "" && run.FailedStep() == nil {
		failures++ // that of the command itself
	}
	if doc.Tests != 1+c.Done+c.Skipped+c.Failed+c.NotRun || doc.Tests != len(doc.Cases) || doc.Failures != failures || doc.Skipped != c.Skipped+c.NotRun {
		t.Errorf("JUnit has %d tests, %d failures, %d skipped; steps are %+v", doc.Tests, doc.Failures, doc.Skipped, c)
	}
}

// eventsSchema is what strake schema events prints, compiled.
func eventsSchema(t *testing.T) *validator.Schema {
	t.Helper()
	text, err := schema.JSONSchema("events")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := validator.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := validator.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("events.json", doc); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("events.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// validLines checks lines of JSON against the schema, and that the last one is the verdict. It returns that.
func validLines(t *testing.T, text string) report.Line {
	t.Helper()
	s := eventsSchema(t)
	var last report.Line
	n := 0
	for line := range strings.Lines(text) {
		doc, err := validator.UnmarshalJSON(strings.NewReader(line))
		if err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		if err := s.Validate(doc); err != nil {
			t.Errorf("%v in %s", err, line)
		}
		last = report.Line{}
		if err := json.Unmarshal([]byte(line), &last); err != nil {
			t.Fatal(err)
		}
		if (n == 0) != (last.Head != nil) {
			t.Errorf("line %d has the head %+v", n+1, last.Head)
		}
		n++
	}
	if last.Verdict == nil || last.Type != "run-finished" || last.Outcome == "" {
		t.Errorf("the last line is %+v", last)
	}
	return last
}

func TestLinesAreValid(t *testing.T) {
	for name, test := range map[string]struct {
		app, want string
		code      int
		args      []string
	}{
		"run":       {app("built", someChanges), "succeeded", 0, []string{"run"}},
		"fails":     {app("built", "{fail: no}"), "failed", 1, []string{"run"}},
		"panics":    {app("built", "{panicBinding: true}"), "failed", 1, []string{"run"}},
		"times out": {app("built", "{hang: true}"), "timed-out", 8, []string{"run", "--timeout", "300ms"}},
		"pending":   {app("built", someChanges), "pending", 2, []string{"plan", "--detailed-exitcode"}},
		"plan":      {app("built", someChanges), "succeeded", 0, []string{"plan"}},
		"invalid":   {"kind: [\n", "failed", 3, []string{"run"}},
		"no file":   {"", "failed", 1, []string{"run"}},
		"format":    {app("built", "{}"), "failed", 1, []string{"run", "--report", "pdf=x"}},
		"delete":    {app("built", someChanges), "succeeded", 0, []string{"delete"}},
		"render":    {app("built", "{}"), "succeeded", 0, []string{"render"}},
		"rollback":  {app("built", "{revisions: [succeeded, succeeded, succeeded]}"), "succeeded", 0, []string{"rollback"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := call(t.Context(), t, nil, test.app, append(test.args, "-o", "json")...)
			last := validLines(t, got.stdout)
			if got.code != test.code || last.ExitCode != test.code || string(last.Outcome) != test.want || last.Command != test.args[0] {
				t.Errorf("exit code %d, last line %+v %+v", got.code, last.Event, last.Verdict)
			}
			if (last.Error != "") != (test.code != 0 && test.code != 2) {
				t.Errorf("error is %q", last.Error)
			}
		})
	}
}

func TestInterruptedRunHasAVerdict(t *testing.T) {
	cmd, stderr := start(t, app("reused", "{hang: true}"), "run", "--report", "json=events", "--report", "junit=junit.xml")
	waitFor(t, stderr, "hanging")
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, stderr)
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 130 {
		t.Errorf("ended with %v", err)
	}
	if last := validLines(t, readFile(t, cmd.Dir, "events")); last.Outcome != report.Interrupted || last.ExitCode != 130 || last.Counts.Steps.Failed != 1 {
		t.Errorf("verdict is %+v", last.Verdict)
	}
	if text := readFile(t, cmd.Dir, "junit.xml"); !strings.Contains(text, "interrupted") {
		t.Errorf("JUnit: %s", text)
	}
}

// What a run that was killed has told so far can be reported.
func TestKilledRunCanBeReported(t *testing.T) {
	cmd, stderr := start(t, app("reused", "{hang: true}"), "run")
	waitFor(t, stderr, "hanging")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	t.Chdir(cmd.Dir)
	t.Setenv("XDG_CACHE_HOME", filepath.Join(cmd.Dir, "cache"))
	got := callHere(t.Context(), nil, "report")
	for _, want := range []string{"default/demo unfinished", "build-images  done in", "  | hanging", "deploy-put  cut off", "steps-failed=1"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("report lacks %q: %+v", want, got)
		}
	}
}

func TestReportCommand(t *testing.T) {
	call(t.Context(), t, nil, app("built", someChanges), "run", "--progress=none")
	if got := callHere(t.Context(), nil, "plan", "--progress=none"); got.code != 0 {
		t.Fatal(got)
	}
	list := callHere(t.Context(), nil, "report", "--list")
	rows := strings.Split(strings.TrimSpace(list.stdout), "\n")
	if len(rows) != 3 || !regexp.MustCompile(`^\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{4}  plan     default/demo  succeeded  TIME  \+1 ~1 -0$`).MatchString(rows[1]) {
		t.Fatalf("list is %+v", list)
	}
	if got := callHere(t.Context(), nil, "report"); !strings.Contains(got.stdout, "strake plan: default/demo succeeded") {
		t.Errorf("the last run is %+v", got)
	}
	id := strings.Fields(rows[2])[0]
	for _, format := range (&tool{}).reportNames() {
		if got := callHere(t.Context(), nil, "report", id, "--format", format, "-o", "out/"+format); got.code != 0 || got.stdout != "" {
			t.Errorf("%s: %+v", format, got)
		}
	}
	if last := validLines(t, readFile(t, "out", "json")); last.Command != "run" || last.Result != nil {
		t.Errorf("last line %+v", last)
	}
	for format, want := range map[string]string{
		"html": "<!DOCTYPE html>", "junit": "<testsuites", "markdown": "### ✅ `strake run`", "text": "strake run: ", "github": "create Thing/a", "gitlab": "create Thing/a",
		"gitlab-plan": `{"create":1,"update":1,"delete":0}`, "gitlab-dotenv": "STRAKE_IMAGE_APP=r.io/app@" + digest,
	} {
		if text := readFile(t, "out", format); !strings.Contains(text, want) {
			t.Errorf("%s lacks %q:\n%s", format, want, text)
		}
	}
	// The file need not be valid any more, nor have the same name in it.
	if err := os.WriteFile("app.yaml", []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := callHere(t.Context(), nil, "report", id[:16]); got.code != 0 && !strings.Contains(got.stderr, "could be any of") {
		t.Errorf("with an invalid file: %+v", got)
	}
	for args, want := range map[string]string{
		"report 1999":          "strake: no run \"1999\" is kept\n  hint: strake report --list lists those that are\n",
		"report -f other.yaml": "strake: other.yaml: no run of it is kept\n",
		"report a b":           "strake: expected at most one run, found 2 arguments\n",
		"run --report pdf=x":   "strake: --report \"pdf=x\": expected one of the formats html,",
		"run --report html":    "strake: --report \"html\": expected FORMAT=FILE\n",
	} {
		if got := callHere(t.Context(), nil, strings.Fields(args)...); got.code != 1 || !strings.HasPrefix(got.stderr, want) {
			t.Errorf("strake %s: %+v", args, got)
		}
	}
}

func TestReportThatCannotBeWritten(t *testing.T) {
	got := call(t.Context(), t, nil, app("built", "{}"), "run", "--progress=none", "--report", "html=app.yaml/x")
	if got.code != 1 || !strings.Contains(got.stderr, "strake: report html: mkdir app.yaml: not a directory") || !strings.Contains(got.stdout, "done in TIME") {
		t.Errorf("%+v", got)
	}
}

// What GitHub Actions gets of a run: its log, its summary, its outputs.
func TestInGitHubActions(t *testing.T) {
	dir := t.TempDir()
	env := map[string]string{
		"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": filepath.Join(dir, "summary"), "GITHUB_OUTPUT": filepath.Join(dir, "output"),
	}
	hostile := `{changes: [{op: update, name: "x\n::set-env name=A::1", diff: "::add-mask::x\n##[error]y\n"}], fail: "::stop-commands::t\n::error::forged"}`
	got := call(t.Context(), t, env, app("built", hostile), "run")
	want := `fetch-files    done in TIME
template-docs  done in TIME
::group::build-images
build-images   RUN true: cached
build-images   image app built: r.io/app@sha256:1 (because)
::endgroup::
build-images   done in TIME
::group::deploy-put
deploy-put     update Thing/x ::set-env name=A::1 (default)
::endgroup::
deploy-put     failed after TIME
::error file=app.yaml,line=12,col=5,title=strake%3A deploy-put::::stop-commands::t%0A::error::forged (don't)
strake: deploy-put (app.yaml:12:5): ::stop-commands::t
: :error::forged
  hint: don't
`
	if diff := cmp.Diff(want, got.stderr); diff != "" || got.code != 1 {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	if text := readFile(t, dir, "summary"); !strings.HasPrefix(text, "### ❌ `strake run` `default/demo`: failed\n\nsteps-done=3 ") {
		t.Errorf("summary is %s", text)
	}
	if text := readFile(t, dir, "output"); !strings.Contains(text, "outcome=failed\nexit-code=1\n") || !strings.Contains(text, "update=1\n") || !strings.Contains(text, `{"app":"`+digest+`"}`) {
		t.Errorf("outputs are %s", text)
	}
	// A plan prints diffs for people.
	plan := callHere(t.Context(), env, "plan")
	for line := range strings.Lines(plan.stdout) {
		if strings.HasPrefix(strings.TrimSpace(line), "::") || strings.Contains(line, "##[") {
			t.Errorf("the plan has the command %q", line)
		}
	}
	if !strings.Contains(plan.stdout, ": :add-mask::x") {
		t.Errorf("the plan is %s", plan.stdout)
	}
}

func TestProblemsInGitHubActions(t *testing.T) {
	dir := t.TempDir()
	put := "{"
	for i := range 30 {
		put += fmt.Sprintf("typo%d: 1, ", i)
	}
	t.Setenv("GITHUB_WORKSPACE", "")
	env := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": filepath.Join(dir, "summary")}
	got := call(t.Context(), t, env, app("built", put+"}"), "run")
	if n := strings.Count(got.stderr, "::error "); n != 10 || got.code != 3 {
		t.Errorf("%d annotations: %+v", n, got)
	}
	if want := "::error title=strake::21 more errors: the summary of the step has them all\n"; !strings.Contains(got.stderr, want) {
		t.Errorf("%q isn't in %s", want, got.stderr)
	}
	if !strings.Contains(got.stderr, "::error file=app.yaml,line=12,col=11,title=strake%3A app.yaml::spec.deploy[0].put.typo0: unknown field") {
		t.Errorf("the first problem isn't in %s", got.stderr)
	}
	if n := strings.Count(readFile(t, dir, "summary"), "\n- `app.yaml:12:"); n != 30 {
		t.Errorf("the summary has %d problems, want 30", n)
	}
}

func TestInGitLabCI(t *testing.T) {
	got := call(t.Context(), t, map[string]string{"GITLAB_CI": "true"}, app("built", `{changes: [{op: update, name: "x\n\e[0Ksection_start:1:y\r\e[0K"}]}`), "run")
	steady := regexp.MustCompile(`section_(start|end):\d+:`).ReplaceAllString(got.stderr, "section_$1:T:")
	want := "fetch-files    done in TIME\ntemplate-docs  done in TIME\n" +
		"\x1b[0Ksection_start:T:strake_build-images[collapsed=true]\r\x1b[0Kbuild-images\n" +
		"build-images   RUN true: cached\nbuild-images   image app built: r.io/app@sha256:1 (because)\n" +
		"\x1b[0Ksection_end:T:strake_build-images\r\x1b[0K\nbuild-images   done in TIME\n" +
		"\x1b[0Ksection_start:T:strake_deploy-put[collapsed=true]\r\x1b[0Kdeploy-put\n" +
		"deploy-put     update Thing/x section_start:T:y (default)\n" +
		"\x1b[0Ksection_end:T:strake_deploy-put\r\x1b[0K\ndeploy-put     done in TIME\n"
	if diff := cmp.Diff(want, steady); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

// Secrets are told to GitHub's runner, which hides them in what other steps print, but only where it reads.
func TestMasks(t *testing.T) {
	text := strings.Replace(app("built", "{secret: creds}"), "---\n", "", 1) +
		"---\napiVersion: v1\nkind: Secret\nmetadata: {name: creds}\nstringData: {password: \"s3cr%t-value\"}\n"
	run := func(env string, stderr *os.File) string {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "app.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0], "run")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), asStrake+"=1", "XDG_CACHE_HOME="+filepath.Join(dir, "cache"), env)
		if stderr != nil {
			cmd.Stderr = stderr
			if err := cmd.Run(); err != nil {
				t.Fatal(err)
			}
			return readFile(t, stderr.Name())
		}
		pipe, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		out, _ := io.ReadAll(bufio.NewReader(pipe))
		if err := cmd.Wait(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	if out := run("GITHUB_ACTIONS=true", nil); strings.Count(out, "::add-mask::s3cr%25t-value\n") != 1 || strings.Count(out, "s3cr") != 1 {
		t.Errorf("in GitHub's log: %s", out)
	}
	if out := run("GITHUB_ACTIONS=", nil); strings.Contains(out, "s3cr") {
		t.Errorf("elsewhere: %s", out)
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if out := run("GITHUB_ACTIONS=true", file); strings.Contains(out, "s3cr") {
		t.Errorf("in a file: %s", out)
	}
}
