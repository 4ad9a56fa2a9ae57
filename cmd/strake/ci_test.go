package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const ciExamples = "../../examples/ci"

// A job plays a CI system: a checkout, and what the system says by variables and files.
type job struct {
	t   *testing.T
	dir string
	env []string
}

// newJob checks out the example with a lock, as a developer has committed it.
func newJob(t *testing.T, env ...string) *job {
	t.Helper()
	j := &job{t: t, dir: t.TempDir()}
	home := t.TempDir()
	j.env = append(os.Environ(), "HOME="+home, "XDG_CACHE_HOME="+filepath.Join(home, "cache"), "KUBECONFIG="+filepath.Join(home, "none"))
	app, err := os.ReadFile(filepath.Join(ciExamples, "app.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(j.dir, "app.yaml"), app, 0o600); err != nil {
		t.Fatal(err)
	}
	j.script("strake run -f app.yaml --progress none")
	j.env = append(j.env, env...)
	return j
}

// script runs a script of a job, and returns its log.
func (j *job) script(text string) string {
	j.t.Helper()
	cmd := exec.CommandContext(j.t.Context(), "bash", "-e", "-o", "pipefail", "-c", text)
	cmd.Dir, cmd.Env = j.dir, j.env
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Run(); err != nil {
		j.t.Fatalf("%s\n%v: %s", text, err, log.String())
	}
	return log.String()
}

func (j *job) file(name string) string {
	j.t.Helper()
	data, err := os.ReadFile(filepath.Join(j.dir, name))
	if err != nil {
		j.t.Fatal(err)
	}
	return string(data)
}

func (j *job) has(what, text string, parts ...string) {
	j.t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			j.t.Errorf("%s lacks %q:\n%s", what, part, text)
		}
	}
}

func decode(t *testing.T, file string, doc any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(ciExamples, file))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(data, doc); err != nil {
		t.Fatal(err)
	}
}

func TestGitHubExample(t *testing.T) {
	var workflow struct {
		Env  map[string]string
		Jobs map[string]struct{ Steps []struct{ ID, Run string } }
	}
	decode(t, ".github/workflows/deploy.yml", &workflow)
	for name, files := range map[string][]string{"plan": {"reports/plan.html"}, "deploy": {"reports/run.html", "reports/run.xml"}} {
		j := newJob(t, "GITHUB_ACTIONS=true", "CI=true", "GITHUB_STEP_SUMMARY=summary", "GITHUB_OUTPUT=output")
		for k, v := range workflow.Env {
			j.env = append(j.env, k+"="+v)
		}
		ran := 0
		for _, step := range workflow.Jobs[name].Steps {
			if step.Run != "" {
				j.has("log", j.script(step.Run), "template-ytt")
				ran++
			}
		}
		if ran != 1 {
			t.Errorf("%s: %d steps were run", name, ran)
		}
		for _, f := range files {
			j.has(f, j.file(f), "succeeded")
		}
		j.has("summary", j.file("summary"), "### ✅ `strake ", "`default/ci`: succeeded")
		j.has("outputs", j.file("output"), "outcome=succeeded\n", "exit-code=0\n", "changed=false\n")
	}
}

func TestGitLabExample(t *testing.T) {
	var pipeline struct {
		Variables    map[string]string
		Plan, Deploy struct {
			Script    []string
			Artifacts struct{ Reports map[string]string }
		}
	}
	decode(t, ".gitlab-ci.yml", &pipeline)
	j := newJob(t, "GITLAB_CI=true", "CI=true")
	for k, v := range pipeline.Variables {
		j.env = append(j.env, k+"="+v)
	}
	j.script(strings.Join(pipeline.Plan.Script, "\n"))
	j.has("plan", j.file(pipeline.Plan.Artifacts.Reports["terraform"]), `{"create":0,"update":0,"delete":0}`)
	j.script(strings.Join(pipeline.Deploy.Script, "\n"))
	j.has("tests", j.file(pipeline.Deploy.Artifacts.Reports["junit"]), `<testcase classname="strake.template" name="template-ytt"`)
	j.has("variables", j.file(pipeline.Deploy.Artifacts.Reports["dotenv"]), "STRAKE_OUTCOME=succeeded\n")
}

func TestTektonExample(t *testing.T) {
	var task struct {
		Spec struct {
			Steps []struct {
				Script string
				Env    []struct{ Name, Value string }
			}
		}
	}
	decode(t, "tekton.yaml", &task)
	j := newJob(t)
	values := strings.NewReplacer("$(params.file)", "app.yaml", "$(workspaces.cache.path)", t.TempDir(), "$(results.outcome.path)", "outcome")
	step := task.Spec.Steps[0]
	for _, v := range step.Env {
		j.env = append(j.env, v.Name+"="+values.Replace(v.Value))
	}
	j.script(step.Script)
	if got := j.file("outcome"); got != "succeeded" {
		t.Errorf("the outcome is %q", got)
	}
	var last struct{ Type, Outcome string }
	lines := strings.Split(strings.TrimSpace(j.file("run.jsonl")), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Type != "run-finished" || last.Outcome != "succeeded" {
		t.Errorf("the last event is %s (%v)", lines[len(lines)-1], err)
	}
}
