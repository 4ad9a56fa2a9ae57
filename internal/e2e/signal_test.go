package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"strake.dev/strake/schema"
)

// grantAdmin gives a service account of the namespace all rights in it, and no others.
func (w *world) grantAdmin(account string) {
	w.t.Helper()
	_, err := w.kube.RbacV1().RoleBindings(w.namespace).Create(w.t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: account},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "admin"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: account, Namespace: w.namespace}},
	}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
}

// interrupt starts a run and sends it a signal as soon as its output shows that a step has got to
// where it is wanted; it returns how the run ended.
func (w *world) interrupt(sig syscall.Signal, when string, after time.Duration) outcome {
	w.t.Helper()
	cmd := w.command(w.t.Context(), "run", "-o", "json")
	// A group of its own, so that a process that outlives the run can be found.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	seen := &watched{when: when, found: make(chan struct{})}
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = seen, &stderr
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	select {
	case <-seen.found:
	case <-time.After(2 * time.Minute):
		w.t.Errorf("the run never came to %s", when)
	}
	time.Sleep(after)
	started := time.Now()
	if err := cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		w.t.Fatal(err)
	}
	_ = cmd.Wait()
	o := outcome{stdout: seen.text.String(), stderr: stderr.String(), code: cmd.ProcessState.ExitCode(), took: time.Since(started)}
	// Killed together with the run, a child may take a moment to be gone.
	deadline := time.Now().Add(3 * time.Second)
	for syscall.Kill(-cmd.Process.Pid, 0) == nil {
		if time.Now().After(deadline) {
			w.t.Errorf("%s when %s: a process of the run is still there", sig, when)
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return o
}

// A watched writer says when a text has been written.
type watched struct {
	when  string
	text  bytes.Buffer
	found chan struct{}
	done  bool
}

func (w *watched) Write(p []byte) (int, error) {
	w.text.Write(p)
	if !w.done && bytes.Contains(w.text.Bytes(), []byte(w.when)) {
		w.done = true
		close(w.found)
	}
	return len(p), nil
}

// started is what the JSON events hold once a step has begun.
func started(step string) string { return `"type":"step-started","step":"` + step + `"` }

// At every stage, and a little later each time, an interrupted run leaves no process, no torn file
// and no temporary folder, and the next run finishes the work.
func TestInterruptedRunsAreFinishedByTheNext(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			// Slow enough for a signal to come in between.
			w.replace("src/Dockerfile", "USER ", "RUN sleep 3\nUSER ")
			w.replace("config/config.yml", "periodSeconds: 1", "periodSeconds: 1\n          initialDelaySeconds: 4")
			git := serveGit(t, w)
			w.replace("app.yaml", "- {path: config, directory: {path: config}}", "- {path: config, git: {url: "+git+", ref: origin/main, subPath: config}}")
			for i, at := range []struct {
				when  string
				after time.Duration
			}{
				{started("fetch-config"), 0},
				{started("fetch-config"), 30 * time.Millisecond},
				{started("template-ytt"), 0},
				{started("build-kbld"), 0},
				{started("build-kbld"), time.Second},
				{started("build-kbld"), 2 * time.Second},
				{started("deploy-kapp"), 0},
				{started("deploy-kapp"), 300 * time.Millisecond},
				{started("deploy-kapp"), time.Second},
			} {
				// Another image each time: what has been rolled out already would be deployed before the signal comes.
				w.write("src/work.go", fmt.Sprintf("package main\n\nimport \"os\"\n\nvar _ = os.Setenv(\"WORK\", \"%d\")\n", i))
				o := w.interrupt(sig, at.when, at.after)
				if o.code == 0 {
					t.Errorf("%s: finished before the signal came", at.when)
				}
				want := map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143, syscall.SIGKILL: -1}[sig]
				if o.code != want || o.took > 6*time.Second {
					t.Errorf("%s: took %s to stop: %s", at.when, o.took, o)
				}
				w.checkNothingIsTorn()
			}
			w.must("run")
			if got := w.answer(); !strings.Contains(got, "Hello") {
				t.Errorf("the app answers %q", got)
			}
			if o := w.must("run"); !strings.Contains(o.stdout, "nothing was built, pushed or applied") {
				t.Errorf("the run after that: %s", o)
			}
			if left, _ := filepath.Glob(filepath.Join(w.dir, "cache/strake/workspaces/*/tmp")); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
			w.must("delete")
			if got := w.objects(); len(got) > 0 {
				t.Errorf("left: %q", got)
			}
		})
	}
}

// checkNothingIsTorn makes sure that what a run writes at once is there whole or not at all.
func (w *world) checkNothingIsTorn() {
	w.t.Helper()
	lock, err := os.ReadFile(filepath.Join(w.dir, "app.lock.yaml"))
	if err == nil {
		if l, err := schema.ReadLock("app.lock.yaml", lock); err != nil || len(l.Images) != 1 || len(l.Sources) != 2 {
			w.t.Errorf("the lock file is torn: %v\n%s", err, lock)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(w.temp, "*")); len(left) > 0 {
		w.t.Errorf("left in the folder for temporary files: %q", left)
	}
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		switch e.Name() {
		case "app.yaml", "app.lock.yaml", "src", "config", "cache":
		default:
			w.t.Errorf("left beside the App: %s", e.Name())
		}
	}
}
