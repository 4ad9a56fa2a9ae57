package render

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/stages"
)

func TestPlain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := NewPlain(&out, []string{"fetch-src", "template-ytt", "build-kbld"})
		for _, e := range []stages.Event{
			{Type: stages.RunStarted, Message: "default/app"},
			started("fetch-src", "vendir"), finished("fetch-src", 0.1234),
			started("template-ytt", "ytt"), skipped("template-ytt", "nothing changed since the last run"),
			started("build-kbld", "kbld"),
			message("build-kbld", stages.LogLine, "one\n\x1b[31mtwo\x1b[0m"),
			message("build-kbld", stages.Warning, "no lock\nfile"),
			task("build-kbld", stages.Task{ID: "1", Name: "[1/2] FROM golang", State: stages.TaskCached}),
			task("build-kbld", stages.Task{ID: "quick", Name: "load", State: stages.TaskRunning}),
			task("build-kbld", stages.Task{ID: "quick", Name: "load", State: stages.TaskDone}),
			task("build-kbld", stages.Task{ID: "2", Name: "[2/2] RUN false", State: stages.TaskRunning}),
			task("build-kbld", stages.Task{ID: "2", Name: "[2/2] RUN false", State: stages.TaskRunning, Current: 1, Total: 2, Unit: "bytes"}),
			task("build-kbld", stages.Task{ID: "2", Name: "[2/2] RUN false", State: stages.TaskFailed, Detail: "exit code: 1"}),
			final("build-kbld", stages.Image{From: "app", To: "host/app@sha256:1", Action: "built", Reason: "context changed"}),
			changed("build-kbld", stages.Change{Op: "push", Kind: "image", Name: "host/app"}),
			changed("build-kbld", stages.Change{Op: "noop", Kind: "image", Name: "host/other"}),
			failed("build-kbld", 75.4, "exit code: 1"),
			{Type: stages.RunFinished, Error: "build-kbld: exit code: 1"},
		} {
			p.Observe(e)
		}
		p.Close()
		want := `fetch-src     done in 0.12s
template-ytt  skipped: nothing changed since the last run
build-kbld    | one
build-kbld    | two
build-kbld    warning: no lock file
build-kbld    [1/2] FROM golang: cached
build-kbld    [2/2] RUN false: failed after 0.00s: exit code: 1
build-kbld    image app built: host/app@sha256:1 (context changed)
build-kbld    push image/host/app
build-kbld    failed after 1m15s
`
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("output differs (-want +got):\n%s", diff)
		}
	})
}

// What takes long says that it has begun; what doesn't, only that it has ended.
func TestPlainTellsOfSlowWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := NewPlain(&out, nil)
		p.Observe(started("deploy", "kapp"))
		p.Observe(task("deploy", stages.Task{ID: "quick", Name: "apply", State: stages.TaskRunning}))
		time.Sleep(slow / 2)
		p.Observe(task("deploy", stages.Task{ID: "quick", Name: "apply", State: stages.TaskDone}))
		time.Sleep(slow)
		p.Observe(task("deploy", stages.Task{ID: "wait", Name: "wait for pods", State: stages.TaskRunning}))
		p.Observe(task("deploy", stages.Task{ID: "layer", Name: "sha256:1", State: stages.TaskRunning, Total: 9, Unit: "bytes"}))
		time.Sleep(slow + time.Second)
		p.Observe(task("deploy", stages.Task{ID: "layer", Name: "sha256:1", State: stages.TaskDone, Total: 9, Unit: "bytes"}))
		p.Observe(task("deploy", stages.Task{ID: "wait", Name: "wait for pods", State: stages.TaskDone}))
		p.Observe(finished("deploy", 9))
		p.Observe(started("silent", "kapp"))
		time.Sleep(slow + time.Second)
		p.Observe(finished("silent", 2))
		p.Observe(started("never", "kapp"))
		p.Close()
		time.Sleep(2 * slow)
		want := `deploy  apply: done in 1.00s
deploy  wait for pods
deploy  wait for pods: done in 3.00s
deploy  done in 9.00s
silent  started
silent  done in 2.00s
`
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("output differs (-want +got):\n%s", diff)
		}
	})
}

func TestJSON(t *testing.T) {
	var out bytes.Buffer
	j := NewJSON(&out)
	j.Observe(message("build", stages.LogLine, "a <b>\n\x1b[31m"))
	j.Observe(finished("build", 1.5))
	want := `{"time":"2026-01-02T03:04:05Z","type":"log","step":"build","stage":"build","message":"a <b>\n\u001b[31m"}
{"time":"2026-01-02T03:04:05Z","type":"step-finished","step":"build","stage":"build","seconds":1.5}
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("output differs (-want +got):\n%s", diff)
	}
	if err := j.Err(); err != nil {
		t.Error(err)
	}
}

type brokenWriter struct{ calls int }

var errBroken = errors.New("broken pipe")

func (w *brokenWriter) Write([]byte) (int, error) { w.calls++; return 0, errBroken }

func TestJSONStopsAfterAnError(t *testing.T) {
	w := &brokenWriter{}
	j := NewJSON(w)
	j.Observe(finished("a", 1))
	j.Observe(finished("b", 1))
	if err := j.Err(); !errors.Is(err, errBroken) || w.calls != 1 {
		t.Errorf("after %d writes: error %v, want one write and %v", w.calls, err, errBroken)
	}
}
