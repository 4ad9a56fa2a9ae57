package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"strake.dev/strake/internal/report"
	"strake.dev/strake/stages"
)

// A watching is a strake run --watch whose events are followed.
type watching struct {
	w      *world
	cmd    *exec.Cmd
	lines  chan report.Line
	stderr *strings.Builder
	// seen are all lines so far.
	seen []report.Line
}

// watch starts strake run --watch.
func (w *world) watch(args ...string) *watching {
	w.t.Helper()
	r := &watching{w: w, lines: make(chan report.Line, 10000), stderr: &strings.Builder{}}
	r.cmd = w.command(w.t.Context(), append([]string{"run", "--watch", "--output", "json"}, args...)...)
	r.cmd.Stderr = r.stderr
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		defer close(r.lines)
		in := bufio.NewReader(out)
		for {
			text, err := in.ReadBytes('\n')
			if err != nil {
				return
			}
			var line report.Line
			if err := json.Unmarshal(text, &line); err != nil {
				line.Error = fmt.Sprintf("no JSON: %s", text)
			}
			r.lines <- line
		}
	}()
	w.t.Cleanup(func() { _ = r.cmd.Process.Kill() }) // it may have ended
	return r
}

// until reads lines up to one that is wanted.
func (r *watching) until(what string, wanted func(report.Line) bool) report.Line {
	r.w.t.Helper()
	late := time.After(2 * time.Minute)
	for {
		select {
		case line, ok := <-r.lines:
			if !ok {
				r.w.t.Fatalf("ended before %s: %s\n%s", what, r.stderr, r.told())
			}
			r.seen = append(r.seen, line)
			if wanted(line) {
				return line
			}
		case <-late:
			r.w.t.Fatalf("no %s: %s\n%s", what, r.stderr, r.told())
		}
	}
}

// told is what has been seen, for messages.
func (r *watching) told() string {
	var b strings.Builder
	for _, l := range r.seen {
		fmt.Fprintf(&b, "%s %s %s %s %s", l.Time.Format("05.000"), l.Type, l.Step, l.Message, l.Error)
		if l.Watch != nil {
			fmt.Fprintf(&b, " %+v", *l.Watch)
		}
		if l.Change != nil {
			fmt.Fprintf(&b, " %s %s/%s", l.Change.Op, l.Change.Kind, l.Change.Name)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// waits reads lines until it waits for changes, and returns those of the runs before that.
func (r *watching) waits() []report.Line {
	r.w.t.Helper()
	from := len(r.seen)
	r.until("wait for changes", func(l report.Line) bool { return l.Watch != nil && l.Watch.State == report.WatchWaiting })
	return r.seen[from:]
}

func ofType(kind string) func(report.Line) bool {
	return func(l report.Line) bool { return l.Type == kind }
}

// did tells what became of the steps of runs: step: finished or skipped.
func did(lines []report.Line) map[string]string {
	steps := map[string]string{}
	for _, l := range lines {
		switch {
		case l.Type == stages.StepSkipped:
			steps[l.Step] = "skipped"
		case l.Type == stages.StepFinished && l.Error != "":
			steps[l.Step] = "failed"
		case l.Type == stages.StepFinished:
			steps[l.Step] = "done"
		}
	}
	return steps
}

// stop interrupts it, and makes sure that it is gone within a second and leaves nothing.
func (r *watching) stop() {
	t := r.w.t
	t.Helper()
	began := time.Now()
	if err := r.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	for line := range r.lines {
		r.seen = append(r.seen, line)
	}
	err := r.cmd.Wait()
	if took := time.Since(began); took > time.Second {
		t.Errorf("ended %s after the interrupt", took)
	}
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 130 {
		t.Errorf("ended with %v, expected exit code 130: %s", err, r.stderr)
	}
	if last := r.seen[len(r.seen)-1]; last.Watch == nil || last.Watch.State != report.WatchStopped {
		t.Errorf("the last line is %+v", last)
	}
	if left, err := os.ReadDir(r.w.temp); err != nil || len(left) > 0 {
		t.Errorf("left in the folder for temporary files: %v %v", left, err)
	}
}

// workspace is the App's.
func (w *world) workspace() string {
	w.t.Helper()
	found, err := filepath.Glob(filepath.Join(w.dir, "cache/strake/workspaces/*"))
	if err != nil || len(found) != 1 {
		w.t.Fatalf("workspaces %q, %v", found, err)
	}
	return found[0]
}

// What changes is run again, and nothing else; what is wrong is told, and put right by the next edit.
func TestWatch(t *testing.T) {
	w := newWorld(t)
	r := w.watch("--report", "json=report.jsonl")
	lines := r.waits()
	if d := did(lines); d["build-kbld"] != "done" || d["deploy-kapp"] != "done" {
		t.Fatalf("the first run did %v\n%s", d, r.told())
	}

	t.Run("configuration", func(t *testing.T) {
		w.replace("config/values.yml", "hello_msg: stranger", "hello_msg: friend")
		lines := r.waits()
		if d := did(lines); d["fetch-src"] != "skipped" || d["fetch-config"] != "done" || d["template-ytt"] != "done" || d["deploy-kapp"] != "done" {
			t.Errorf("did %v\n%s", d, r.told())
		}
		if c := lines[0].Watch; c == nil || !slices.Equal(c.Paths, []string{"config/values.yml"}) {
			t.Errorf("the first line is %+v", lines[0])
		}
		if got := w.answer(); !strings.Contains(got, "friend") {
			t.Errorf("the app answers %q", got)
		}
	})

	t.Run("source", func(t *testing.T) {
		before := w.deployedImage()
		w.replace("src/main.go", "Hello ", "Good day, ")
		if d := did(r.waits()); d["fetch-src"] != "done" || d["template-ytt"] != "skipped" {
			t.Errorf("did %v\n%s", d, r.told())
		}
		if w.deployedImage() == before {
			t.Error("the image is still the same")
		}
	})

	t.Run("invalid file", func(t *testing.T) {
		valid := w.read("app.yaml")
		w.write("app.yaml", strings.Replace(valid, "template:", "templates:", 1))
		end := r.until("verdict", ofType(stages.RunFinished))
		if end.Verdict == nil || end.ExitCode != 3 || len(end.Diagnostics) == 0 {
			t.Errorf("verdict is %+v", end)
		}
		r.waits()
		w.write("app.yaml", valid)
		if end := r.until("verdict", ofType(stages.RunFinished)); end.Verdict == nil || end.Outcome != report.Succeeded {
			t.Errorf("verdict is %+v\n%s", end, r.told())
		}
		r.waits()
	})

	t.Run("failing step", func(t *testing.T) {
		valid := w.read("config/values.yml")
		w.write("config/values.yml", "#@data/values\n---\nnot_there: 1\n")
		if d := did(r.waits()); d["template-ytt"] != "failed" {
			t.Errorf("did %v\n%s", d, r.told())
		}
		w.write("config/values.yml", valid)
		r.waits()
	})

	t.Run("nothing of it is edited", func(t *testing.T) {
		w.write("unrelated.txt", "x")
		w.write("src/.main.go.swp", "x")
		w.write("app.lock.yaml", w.read("app.lock.yaml"))
		select {
		case line := <-r.lines:
			t.Errorf("told %+v", line)
		case <-time.After(1500 * time.Millisecond):
		}
	})

	t.Run("another lock file", func(t *testing.T) {
		if err := os.Remove(filepath.Join(w.dir, "app.lock.yaml")); err != nil {
			t.Fatal(err)
		}
		r.waits()
		if !strings.Contains(w.read("app.lock.yaml"), w.repo) {
			t.Error("the lock file isn't written again")
		}
	})

	if run := w.workspace() + "/runs"; true {
		kept, err := os.ReadDir(run)
		if err != nil || len(kept) != 7 { // the invalid file made none
			t.Errorf("%d runs are kept, %v", len(kept), err)
		}
	}
	if !strings.Contains(w.read("report.jsonl"), `"outcome":"succeeded"`) {
		t.Errorf("report:\n%s", w.read("report.jsonl"))
	}
	// No run holds the workspace while it waits.
	if o := w.strake("plan", "--detailed-exitcode", "--timeout", "20s"); o.code != 0 {
		t.Errorf("plan beside it: %s", o)
	}
	r.stop()
}

// Of a Pipeline, one target is watched. What the runs write, lock file, workspace, events and cache, lies in a folder
// that is watched, and begins none.
func TestWatchTarget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set, w.env = nil, append(w.env, "XDG_CACHE_HOME="+t.TempDir())
	for _, file := range []string{"build.yml", "config.yml", "overlay.yml", "schema.yml", "values.yml"} {
		if err := os.Remove(filepath.Join(w.dir, "config", file)); err != nil {
			t.Fatal(err)
		}
	}
	w.write("config/values.yml", "#@data/values-schema\n---\nlevel: info\n")
	w.write("config/app.yml", "#@ load(\"@ytt:data\", \"data\")\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata:\n  level: #@ data.values.level\n")
	w.write("pipeline.yaml", `apiVersion: strake.dev/v1alpha1
kind: Pipeline
metadata: {name: release}
spec:
  targets:
  - {name: staging, kube: {namespace: `+w.namespace+`}, values: {level: debug}}
  - {name: prod, needs: [staging], kube: {namespace: not-there}, values: {level: warn}}
  stages:
  - {name: config, stage: fetch, uses: vendir, with: {path: config, directory: {path: ., includePaths: [config/**]}}}
  - {name: render, stage: template, uses: ytt, with: {paths: [config/config]}}
  - {name: deploy, stage: deploy, uses: kapp}
`)
	level := func() string {
		m, err := w.kube.CoreV1().ConfigMaps(w.namespace).Get(t.Context(), "settings", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return m.Data["level"]
	}
	r := w.watch("-f", "pipeline.yaml", "--target", "staging", "--workspace", "ws", "--cache-dir", ".strake")
	if d := did(r.waits()); d["deploy"] != "done" {
		t.Fatalf("did %v\n%s", d, r.told())
	}
	if got := level(); got != "debug" {
		t.Errorf("level is %s", got)
	}
	w.replace("pipeline.yaml", "level: debug", "level: trace")
	if d := did(r.waits()); d["deploy"] != "done" || level() != "trace" {
		t.Fatalf("did %v\n%s", d, r.told())
	}
	w.replace("config/app.yml", "{name: settings}", "{name: settings, labels: {a: b}}")
	if d := did(r.waits()); d["config"] != "done" || d["deploy"] != "done" {
		t.Errorf("did %v\n%s", d, r.told())
	}
	select {
	case line := <-r.lines:
		t.Errorf("told %+v", line)
	case <-time.After(1500 * time.Millisecond):
	}
	if kept, err := os.ReadDir(filepath.Join(w.dir, "ws/runs")); err != nil || len(kept) != 3 {
		t.Errorf("%d runs are kept, %v", len(kept), err)
	}
	r.stop()
	// All of it is no one run that could go on.
	if o := w.strake("run", "-f", "pipeline.yaml", "--watch"); o.code == 0 || !strings.Contains(o.stderr, "makes 2 runs") {
		t.Errorf("without --target: %s", o)
	}
}

// An edit while a deploy waits for what will never be ready ends the wait, and one while it changes something
// doesn't cut that short.
func TestWatchSupersedes(t *testing.T) {
	for _, plugin := range []string{"kapp", "ssa"} {
		t.Run(plugin, func(t *testing.T) {
			w := newWorld(t)
			w.write("app.yaml", strings.Replace(w.app(""), "kapp: {}", plugin+": {}", 1))
			w.replace("src/main.go", "func main() {", "func main() {\n\tpanic(\"on purpose\")")
			r := w.watch()
			r.until("wait of the deploy", ofType(stages.Waiting))
			w.replace("src/main.go", "\tpanic(\"on purpose\")\n", "")
			began := time.Now()
			end := r.until("end of the first run", ofType(stages.RunFinished))
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("the run went on for %s", took)
			}
			if end.Verdict == nil || end.Outcome != report.Interrupted || !strings.Contains(end.Error, "src/main.go changed") {
				t.Errorf("verdict is %+v, error %q", end.Verdict, end.Error)
			}
			if d := did(r.waits()); d["deploy-"+plugin] != "done" {
				t.Errorf("did %v\n%s", d, r.told())
			}
			r.stop()
		})
	}
}

// What branches and tags lead to is asked for, and only a move of one begins a run.
func TestWatchReferences(t *testing.T) {
	w := newWorld(t)
	git := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", filepath.Join(w.dir, "repo"), "-c", "user.name=T", "-c", "user.email=t@example.com"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
	}
	push := func() {
		t.Helper()
		image, err := random.Image(64, 1)
		if err != nil {
			t.Fatal(err)
		}
		ref, err := name.ParseReference(w.repo+"-base:latest", name.Insecure)
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(ref, image); err != nil {
			t.Fatal(err)
		}
	}
	push()
	w.write("repo/pod.yml", fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image: %s-base:latest}]}\n", w.repo))
	git("init", "-q", "-b", "main")
	git("add", ".")
	git("commit", "-qm", "one")
	w.set = nil
	repo := filepath.Join(w.dir, "repo")
	w.write("app.yaml", `apiVersion: strake.dev/v1alpha1
kind: App
metadata: {name: refs}
spec:
  fetch: [{git: {url: `+repo+`, ref: origin/main}}]
  template: [{ytt: {}}]
  build: [{kbld: {}}]
`)
	r := w.watch("--watch-interval", "500ms")
	lines := r.waits()
	waiting := lines[len(lines)-1].Watch
	if want := []string{"git " + repo + " origin/main", "the images"}; !slices.Equal(waiting.References, want) {
		t.Errorf("references are %q, expected %q", waiting.References, want)
	}
	select {
	case line := <-r.lines:
		t.Errorf("nothing has moved, but it tells %+v", line)
	case <-time.After(2 * time.Second):
	}
	w.replace("repo/pod.yml", "name: p", "name: q")
	git("commit", "-qam", "two")
	lines = r.waits()
	if got := lines[0].Watch; got == nil || !slices.Equal(got.Steps, []string{"fetch-git"}) || did(lines)["fetch-git"] != "done" {
		t.Errorf("a commit began with %+v and did %v\n%s", got, did(lines), r.told())
	}
	push()
	lines = r.waits()
	if got := lines[0].Watch; got == nil || !slices.Equal(got.Steps, []string{"build-kbld"}) || did(lines)["fetch-git"] != "skipped" {
		t.Errorf("a tag began with %+v and did %v\n%s", got, did(lines), r.told())
	}
	r.stop()
}

// Logs of all pods are shown, without the App's secrets, also of those that a rollout makes; a forwarded port leads
// to a pod that is ready before and after it.
func TestWatchLogsAndPorts(t *testing.T) {
	for _, plugin := range []string{"kapp", "ssa"} {
		t.Run(plugin, func(t *testing.T) {
			w := newWorld(t)
			w.write("secret.yaml", "")
			w.write("app.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {values.yml: \"hello_msg: very-secret-word\"}\n---\n"+
				strings.NewReplacer("kapp: {}", plugin+": {}", "paths: [config]", "paths: [config], valuesFrom: [{secretRef: {name: s}}]").Replace(w.app("")))
			w.replace("src/main.go", "func main() {", "func main() {\n\tos.Stderr.WriteString(\"begins with \\x1b[31mvery-secret-word\\n\")")
			r := w.watch("--logs", "--port-forward", "service/simple-app:0:80")
			port := r.until("port", ofType(report.PortForwarded))
			first := r.until("log", ofType(report.PodLog))
			if first.Message != "begins with ***" || first.Pod.Container != "simple-app" || first.Pod.Namespace != w.namespace {
				t.Errorf("the first line is %q of %+v", first.Message, first.Pod)
			}
			get := func() {
				t.Helper()
				client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 40 * time.Second}
				resp, err := client.Get("http://" + port.Pod.Local + "/")
				if err != nil {
					t.Errorf("forwarded port: %v\n%s", err, r.told())
					return
				}
				defer resp.Body.Close()
				if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
					t.Errorf("forwarded port answers %s: %s, %v", resp.Status, text, err)
				}
			}
			get()
			r.waits()
			w.replace("src/main.go", "begins with", "begins again with")
			second := r.until("log of the new pod", func(l report.Line) bool {
				return l.Type == report.PodLog && strings.HasPrefix(l.Message, "begins again")
			})
			if second.Pod.Name == first.Pod.Name {
				t.Error("it is of the same pod")
			}
			r.waits()
			get()
			r.stop()
		})
	}
}

// Ports that can't be forwarded are told before anything is done.
func TestWatchPortInUse(t *testing.T) {
	w := newWorld(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	o := w.strake("run", "--port-forward", fmt.Sprintf("simple-app:%d:80", port))
	if o.code != 1 || !strings.Contains(o.stderr, fmt.Sprintf("port %d of this machine is in use", port)) || len(w.objects()) > 0 {
		t.Errorf("port in use: %s", o)
	}
}
