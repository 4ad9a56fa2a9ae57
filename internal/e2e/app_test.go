package e2e

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var digestRef = regexp.MustCompile(`@sha256:[0-9a-f]{64}`)

// deployedImage is the image of the app's only Deployment.
func (w *world) deployedImage() string {
	w.t.Helper()
	list, err := w.kube.AppsV1().Deployments(w.namespace).List(w.t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 {
		w.t.Fatalf("%d deployments, %v", len(list.Items), err)
	}
	return list.Items[0].Spec.Template.Spec.Containers[0].Image
}

// generation counts the rollouts that the app's Deployment has seen.
func (w *world) replicaSets() int {
	w.t.Helper()
	list, err := w.kube.AppsV1().ReplicaSets(w.namespace).List(w.t.Context(), metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return len(list.Items)
}

// The main story: source becomes a running app, a second run finds nothing to do, an edit of the
// source and one of a value do just what they have to, and delete leaves nothing.
func TestFromSourceToRunningApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)

	plan := w.strake("plan", "--detailed-exitcode")
	if plan.code != 2 {
		t.Fatalf("plan of a fresh app: %s", plan)
	}
	if got := w.objects(); len(got) > 0 || len(w.tags()) > 0 {
		t.Fatalf("plan has left objects %q and tags %q", got, w.tags())
	}

	audit, builds := follow(t, "STRAKE_SANDBOX_AUDIT_LOG"), follow(t, "STRAKE_SANDBOX_BUILDKIT_LOG")
	first := w.must("run")
	// Otherwise the logs would say nothing about the runs below.
	if len(audit.writes(w.namespace)) == 0 || !strings.Contains(builds.text(), "solve") {
		t.Fatal("the logs don't show the first run's writes and build")
	}
	if !strings.Contains(w.answer(), "Hello") {
		t.Errorf("the app answers %q", w.answer())
	}
	image := w.deployedImage()
	if !strings.HasPrefix(image, w.repo) || !digestRef.MatchString(image) {
		t.Errorf("image is %s", image)
	}
	if !strings.Contains(w.read("app.lock.yaml"), image) {
		t.Errorf("the lock does not hold %s:\n%s", image, w.read("app.lock.yaml"))
	}
	if got := w.tags(); len(got) != 1 {
		t.Errorf("tags are %q\n%s", got, first)
	}

	t.Run("a second run does nothing", func(t *testing.T) {
		audit, daemon := follow(t, "STRAKE_SANDBOX_AUDIT_LOG"), listen(t)
		lock := w.read("app.lock.yaml")
		again := w.must("run", "--buildkit-addr", daemon.address)
		if !strings.Contains(again.stdout, "nothing was built, pushed or applied") {
			t.Errorf("run does not say so: %s", again)
		}
		if writes := audit.writes(w.namespace); len(writes) > 0 {
			t.Errorf("writes to the API server:\n%s", strings.Join(writes, "\n"))
		}
		if n := daemon.calls.Load(); n != 0 {
			t.Errorf("the daemon was called %d times", n)
		}
		if w.read("app.lock.yaml") != lock {
			t.Error("the lock file has changed")
		}
		plan := w.strake("plan", "--detailed-exitcode")
		if plan.code != 0 {
			t.Errorf("plan of an unchanged app: %s", plan)
		}
	})

	t.Run("a locked run passes", func(t *testing.T) {
		w.must("run", "--locked")
	})

	t.Run("only a value changes", func(t *testing.T) {
		w.replace("config/values.yml", "hello_msg: stranger", "hello_msg: friend")
		o := w.must("run")
		if got := w.deployedImage(); got != image {
			t.Errorf("image is %s, was %s\n%s", got, image, o)
		}
		if got := w.answer(); !strings.Contains(got, "friend") {
			t.Errorf("the app answers %q", got)
		}
		if got := w.tags(); len(got) != 1 {
			t.Errorf("tags are %q", got)
		}
	})

	t.Run("the source changes", func(t *testing.T) {
		before := w.replicaSets()
		w.replace("src/main.go", "Hello ", "Good day, ")
		lock := w.read("app.lock.yaml")
		tags := w.tags()
		audit := follow(t, "STRAKE_SANDBOX_AUDIT_LOG")
		locked := w.strake("run", "--locked")
		if locked.code != 4 || !strings.Contains(locked.stderr, "image simple-app") {
			t.Errorf("locked run after an edit: %s", locked)
		}
		if writes := audit.writes(w.namespace); len(writes) > 0 {
			t.Errorf("a refused run wrote to the API server:\n%s", strings.Join(writes, "\n"))
		}
		if diff := cmp.Diff(tags, w.tags()); diff != "" || w.read("app.lock.yaml") != lock {
			t.Errorf("a refused run has changed tags or lock: %s", diff)
		}

		plan := w.strake("plan", "--detailed-exitcode")
		if plan.code != 2 || !strings.Contains(plan.stdout, "simple-app") {
			t.Errorf("plan of a changed app: %s", plan)
		}
		if diff := cmp.Diff(tags, w.tags()); diff != "" {
			t.Errorf("plan has changed the tags: %s", diff)
		}

		w.must("run")
		if got := w.deployedImage(); got == image {
			t.Errorf("image is still %s", got)
		}
		if got := w.answer(); !strings.Contains(got, "Good day, ") {
			t.Errorf("the app answers %q", got)
		}
		if got := w.replicaSets(); got != before+1 {
			t.Errorf("%d rollouts, want one", got-before)
		}
		for range 3 {
			w.must("run")
		}
		if got := w.tags(); len(got) != 2 {
			t.Errorf("tags are %q", got)
		}
	})

	t.Run("inspect", func(t *testing.T) {
		o := w.must("inspect")
		for _, want := range []string{"Deployment", "Service", "ReplicaSet", "Pod"} {
			if !strings.Contains(o.stdout, want) {
				t.Errorf("no %s in %s", want, o)
			}
		}
	})

	t.Run("delete", func(t *testing.T) {
		w.must("delete")
		if got := w.objects(); len(got) > 0 {
			t.Errorf("left: %q", got)
		}
		w.must("delete")
		if o := w.strake("inspect"); o.code != 1 || !strings.Contains(o.stderr, "not deployed") {
			t.Errorf("inspect of a deleted app: %s", o)
		}
	})
}

// Render and build stop where they say, and two checkouts give one digest.
func TestRenderAndBuild(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rendered := w.must("render")
	image := digestRef.FindString(rendered.stdout)
	if image == "" || !strings.HasPrefix(rendered.stdout, "---\n") {
		t.Fatalf("render printed %s", rendered)
	}
	if got := w.objects(); len(got) > 0 {
		t.Errorf("render has deployed %q", got)
	}
	built := w.must("build")
	if !strings.Contains(built.stdout, image) {
		t.Errorf("build printed %s", built)
	}
	other := newWorld(t)
	if got := digestRef.FindString(other.must("render").stdout); got != image {
		t.Errorf("another checkout gives %s, the first one %s", got, image)
	}
	if again := w.must("render"); again.stdout != rendered.stdout {
		t.Errorf("render printed other manifests:\n%s", cmp.Diff(rendered.stdout, again.stdout))
	}
}

func TestJSONEventsEndWithTheVerdict(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for want, args := range map[string][]string{
		"succeeded": {"build", "-o", "json"},
		"failed":    {"build", "-o", "json", "--buildkit-addr", "tcp://127.0.0.1:1"},
	} {
		if want == "failed" {
			w.replace("src/main.go", "Hello ", "Hi ")
		}
		o := w.strake(args...)
		lines := strings.Split(strings.TrimSpace(o.stdout), "\n")
		types := map[string]int{}
		var last struct{ Type, Outcome string }
		for _, line := range lines {
			last.Type, last.Outcome = "", ""
			if err := json.Unmarshal([]byte(line), &last); err != nil {
				t.Fatalf("%v in %q of %s", err, line, o)
			}
			types[last.Type]++
			if last.Type == "run-finished" && last.Outcome != want {
				t.Errorf("the verdict is %s: %s", last.Outcome, o)
			}
		}
		if types["run-finished"] != 1 || types["step-started"] == 0 {
			t.Errorf("events are %v: %s", types, o)
		}
	}
}

// An App of kapp-controller, unchanged, with its sources in git.
func TestAnUnchangedKappControllerApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	git := serveGit(t, w)
	w.write("cr.yaml", fmt.Sprintf(`apiVersion: kappctrl.k14s.io/v1alpha1
kind: App
metadata:
  name: from-git
  namespace: %s
spec:
  serviceAccountName: default
  fetch:
  - git: {url: %s, ref: origin/main}
  template:
  - ytt: {paths: [config]}
  - kbld: {}
  deploy:
  - kapp: {rawOptions: ["--wait-timeout=2m"]}
`, w.namespace, git))
	w.grantAdmin("default")
	w.must("run", "-f", "cr.yaml")
	if got := w.answer(); !strings.Contains(got, "Hello") {
		t.Errorf("the app answers %q", got)
	}
	if got := w.read("cr.lock.yaml"); !strings.Contains(got, "commitTitle: all of it") {
		t.Errorf("lock is\n%s", got)
	}
	// kapp-controller's own name for the app, so that either finds what the other has deployed.
	if got := w.objects(); !slices.Contains(got, "configmap/from-git.app") {
		t.Errorf("objects are %q", got)
	}
	o := w.must("run", "-f", "cr.yaml")
	if !strings.Contains(o.stdout, "nothing was built, pushed or applied") {
		t.Errorf("second run: %s", o)
	}
	w.must("delete", "-f", "cr.yaml")
}

// The Pipeline that an App compiles to is a file that does the same.
func TestThePipelineOfAnApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	image := digestRef.FindString(w.must("render").stdout)
	w.write("pipeline.yaml", w.must("plan", "-o", "pipeline").stdout)
	w.must("validate", "-f", "pipeline.yaml")
	w.must("run", "-f", "pipeline.yaml")
	if got := digestRef.FindString(w.deployedImage()); got != image {
		t.Errorf("the pipeline deployed %s, the App renders %s", got, image)
	}
	// It deploys the same app, so that the App finds nothing to do.
	if o := w.must("run"); !strings.Contains(o.stdout, "nothing was built, pushed or applied") {
		t.Errorf("the App after its pipeline: %s", o)
	}
}

// Two runs of one App at the same time do its work once, and both succeed.
func TestTwoRunsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	done := make(chan outcome, 2)
	for range 2 {
		go func() { done <- w.strake("run") }()
	}
	for range 2 {
		if o := <-done; o.code != 0 {
			t.Errorf("run: %s", o)
		}
	}
	if got := w.tags(); len(got) != 1 {
		t.Errorf("tags are %q", got)
	}
	if got := w.replicaSets(); got != 1 {
		t.Errorf("%d rollouts, want one", got)
	}
}
