// Package reporttest has runs for the tests of what renders them.
package reporttest

import (
	"fmt"
	"strings"
	"time"

	"strake.dev/strake/internal/report"
	"strake.dev/strake/stages"
)

// At is when the runs of this package begin.
var At = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// Hostile are texts that mean something to a terminal, a CI system, a browser, or a reader of Markdown or XML.
// A test that finds the word OWNED outside of plain text has found a hole.
var Hostile = []string{
	"::set-env name=OWNED::1",
	"  ::error file=OWNED::x",
	"\ufeff::add-mask::OWNED",
	"\u00a0\u2003::stop-commands::OWNED",
	"x\n::set-output name=OWNED::1",
	"x\r::set-output name=OWNED::1",
	"text ##[set-env name=OWNED;]1",
	"##[group]OWNED",
	"#\x00#[error]OWNED",
	"\x1b[0Ksection_start:1:OWNED\r\x1b[0Kowned",
	"section_end:1:OWNED\r\x1b[0K",
	"\x1b]0;OWNED\x07\x1b[2J\x1b[1;31m",
	"<script>OWNED()</script>",
	"<img src=x onerror=OWNED()>",
	"</details></code><a href=http://OWNED>x</a>",
	"[x](javascript:OWNED) ![x](http://OWNED/x.png) <http://OWNED> http://OWNED",
	"`OWNED` ``` ```` @OWNED #1 | \\| * _ ~~x~~",
	"```\n</details>\n# OWNED",
	"]]>OWNED<!-- -- --><![CDATA[",
	"&#60;script&#62; &amp; %0A%0D::set-env name=OWNED::1",
	"\u202eOWNED\u2066",
	"a\xff\xfe\x00\x01\x02\x7f\u0085\u2028b\ufffe\uffff",
	"'\"><svg/onload=OWNED>",
	"{{.OWNED}} ${OWNED} $(OWNED)",
	"OWNED=1\nSTRAKE_OUTCOME=OWNED",
	"x<<EOF\nEOF\nOWNED=1",
}

// A Recorder makes lines as a run would.
type Recorder struct {
	Lines []report.Line
	now   time.Time
	step  string
	stage stages.Stage
}

// New begins a run of a command with those steps, named STAGE-PLUGIN.
func New(command string, steps ...string) *Recorder {
	r := &Recorder{now: At}
	r.Lines = append(r.Lines, report.Line{
		Event: stages.Event{Time: At, Type: report.StreamStarted}, Command: command,
		Head: &report.Head{Schema: report.Schema, Strake: "v1.2.3", Run: "20260102T030405.678Z-abcd"},
	})
	e := stages.Event{Type: stages.RunStarted, Message: "default/demo"}
	for i, name := range steps {
		stage, plugin, _ := strings.Cut(name, "-")
		e.Steps = append(e.Steps, stages.PlannedStep{Name: name, Stage: stages.Stage(stage), Plugin: plugin, File: "app.yaml", Line: 5 + i, Column: 3})
	}
	r.Event(e)
	return r
}

// After lets time pass.
func (r *Recorder) After(d time.Duration) *Recorder {
	r.now = r.now.Add(d)
	return r
}

// Event adds an event of the step that runs.
func (r *Recorder) Event(e stages.Event) {
	e.Time, e.Step, e.Stage = r.now, r.step, r.stage
	r.Lines = append(r.Lines, report.Line{Event: e})
}

// Start begins a step.
func (r *Recorder) Start(name string) {
	stage, plugin, _ := strings.Cut(name, "-")
	r.step, r.stage = name, stages.Stage(stage)
	r.Event(stages.Event{Type: stages.StepStarted, Message: plugin})
}

// Finish ends the step, with an error if that isn't empty.
func (r *Recorder) Finish(seconds float64, failure string) {
	r.Event(stages.Event{Type: stages.StepFinished, Seconds: seconds, Error: failure})
	r.step, r.stage = "", ""
}

// Skip leaves the step out.
func (r *Recorder) Skip(reason string) {
	r.Event(stages.Event{Type: stages.StepSkipped, Message: reason})
	r.step, r.stage = "", ""
}

// Task tells of a task.
func (r *Recorder) Task(kind, id, name, state, detail string) {
	r.Event(stages.Event{Type: stages.TaskUpdate, Task: &stages.Task{ID: id, Kind: kind, Name: name, State: state, Detail: detail}})
}

// Run ends the run and folds its lines.
func (r *Recorder) Run(outcome report.Outcome, code int, failure string) *report.Run {
	run := &report.Run{}
	for _, l := range r.Lines {
		run.Add(l)
	}
	end := report.Line{
		Event:   stages.Event{Time: r.now, Type: stages.RunFinished, Error: failure, Seconds: r.now.Sub(At).Seconds()},
		Command: run.Command,
		Verdict: &report.Verdict{Outcome: outcome, ExitCode: code, Counts: run.Counts()},
	}
	r.Lines = append(r.Lines, end)
	run.Add(end)
	return run
}

// Example is a run with all that a report can show: it has fetched, skipped the template, built one image and
// resolved another, and failed while it waited.
func Example() *Recorder {
	r := New("run", "fetch-vendir", "template-ytt", "build-kbld", "publish-artifact", "deploy-kapp", "deploy-ssa")
	r.Start("fetch-vendir")
	r.Event(stages.Event{Type: stages.LogLine, Message: "cloning"})
	r.After(1500*time.Millisecond).Finish(1.5, "")
	r.Start("template-ytt")
	r.Skip("nothing changed since the last run")
	r.Start("build-kbld")
	r.Task(stages.TaskBuild, "1", "app [1/3] FROM golang", stages.TaskCached, "")
	r.Task(stages.TaskBuild, "2", "app [2/3] RUN go build", stages.TaskRunning, "")
	r.Task(stages.TaskTransfer, "l", "app sha256:1", stages.TaskRunning, "")
	r.After(20*time.Second).Task(stages.TaskBuild, "2", "app [2/3] RUN go build", stages.TaskDone, "")
	r.Event(stages.Event{Type: stages.ImageFinal, Image: &stages.Image{From: "app", To: "r.io/app@sha256:1", Action: stages.ImageBuilt, Reason: "src/main.go changed", Changed: []string{"src/main.go"}}})
	r.Event(stages.Event{Type: stages.ImageFinal, Image: &stages.Image{From: "redis:7", To: "r.io/redis@sha256:2", Action: stages.ImageResolved}})
	r.Event(stages.Event{Type: stages.ChangeMade, Change: &stages.Change{Op: "push", Kind: "image", Name: "r.io/app"}})
	r.Finish(20, "")
	r.Start("publish-artifact")
	r.After(300*time.Millisecond).Finish(0.3, "")
	r.Start("deploy-kapp")
	r.Event(stages.Event{Type: stages.Warning, Message: "the namespace is labelled twice"})
	r.Event(stages.Event{Type: stages.ChangeMade, Change: &stages.Change{Op: "create", Kind: "Deployment", Namespace: "default", Name: "web"}})
	r.Event(stages.Event{Type: stages.ChangeMade, Change: &stages.Change{Op: "update", Kind: "ConfigMap", Namespace: "default", Name: "web", Diff: "@@ -1 +1 @@\n-a: 1\n+a: 2\n"}})
	r.Event(stages.Event{Type: stages.ChangeMade, Change: &stages.Change{Op: "delete", Kind: "Secret", Namespace: "default", Name: "old"}})
	r.Event(stages.Event{Type: stages.ChangeMade, Change: &stages.Change{Op: "noop", Kind: "Service", Namespace: "default", Name: "web"}})
	r.Task(stages.TaskWait, "w", "deployment/web", stages.TaskRunning, "waiting for 1 replica")
	r.After(8*time.Second).Task(stages.TaskWait, "w", "deployment/web", stages.TaskFailed, "Pod web-1: ImagePullBackOff")
	r.Finish(8, "deployment/web isn't ready")
	return r
}

// All is a run in which every text is the given one.
func All(text string) *report.Run {
	r := New(text, "fetch-vendir", "deploy-kapp", text)
	r.Start("fetch-vendir")
	r.Event(stages.Event{Type: stages.LogLine, Message: text})
	r.Event(stages.Event{Type: stages.Warning, Message: text})
	r.Task(stages.TaskBuild, text, text, stages.TaskRunning, text)
	r.Skip(text)
	r.Start(text)
	r.Event(stages.Event{Type: stages.ImageFinal, Image: &stages.Image{From: text, To: text, Action: text, Reason: text, Changed: []string{text}, Platforms: []string{text}}})
	r.Event(stages.Event{Type: stages.ChangeMade, Change: &stages.Change{Op: "update", Kind: text, Namespace: text, Name: text, Reason: text, Diff: text, Images: []stages.ImageChange{{From: text, To: text}}}})
	for i := range 3 {
		r.Event(stages.Event{Type: stages.LogLine, Message: fmt.Sprint(text, i)})
	}
	r.After(2*time.Second).Task(stages.TaskWait, text, text, stages.TaskFailed, text)
	r.Finish(2, text)
	run := r.Run(report.Failed, 1, text)
	run.App, run.Hint = text, text
	run.Steps[1].Hint = text
	return run
}

// Many is a run of so many events: log lines, steps of builds, changes with diffs, waits.
func Many(n int) *Recorder {
	r := New("run", "build-kbld", "deploy-kapp")
	r.Start("build-kbld")
	for i := range n / 2 {
		id := fmt.Sprint(i / 4)
		switch i % 4 {
		case 0:
			r.Task(stages.TaskBuild, id, "app [stage-1 "+id+"/1250] RUN make target-"+id, stages.TaskRunning, "")
		case 3:
			r.After(10*time.Millisecond).Task(stages.TaskBuild, id, "app [stage-1 "+id+"/1250] RUN make target-"+id, stages.TaskDone, "")
		default:
			r.Event(stages.Event{Type: stages.LogLine, Message: "app [stage-1 " + id + "] | compiling package number " + id + " of the whole program"})
		}
	}
	r.Finish(12.5, "")
	r.Start("deploy-kapp")
	for i := range n / 6 {
		name := fmt.Sprintf("object-%d", i)
		r.Event(stages.Event{Type: stages.ChangeMade, Change: &stages.Change{
			Op: "update", Kind: "ConfigMap", Namespace: "default", Name: name,
			Diff: "@@ -1,3 +1,3 @@\n data:\n-  a: " + name + "\n+  a: other-" + name + "\n",
		}})
		r.Task(stages.TaskWait, name, "configmap/"+name, stages.TaskRunning, "waiting for the controller")
		r.After(3*time.Millisecond).Task(stages.TaskWait, name, "configmap/"+name, stages.TaskDone, "")
	}
	r.Finish(5, "")
	return r
}
