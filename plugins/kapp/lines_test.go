package kapp

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cppforlife/go-cli-ui/ui/table"
	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

// told are the events in short.
func told(r *stagetest.Recorder) []string {
	var lines []string
	for _, e := range r.Events() {
		switch e.Type {
		case stages.TaskUpdate:
			line := fmt.Sprintf("task %s %s", e.Task.Name, e.Task.State)
			if e.Task.Total > 0 {
				line += fmt.Sprintf(" %d/%d", e.Task.Current, e.Task.Total)
			}
			lines = append(lines, strings.TrimSpace(line+" "+e.Task.Detail))
		case stages.ChangeMade:
			lines = append(lines, fmt.Sprintf("change %s %s %s/%s", e.Change.Op, e.Change.Kind, e.Change.Namespace, e.Change.Name))
		default:
			lines = append(lines, e.Type+" "+e.Message)
		}
	}
	return lines
}

func TestScreen(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		err  error
		want []string
	}{
		"deploy": {
			text: "4:05:06PM: ---- applying 2 changes [0/2 done] ----\n" +
				"4:05:06PM: create configmap/one (v1) namespace: x\n" +
				"4:05:06PM: create deployment/web (apps/v1) namespace: x\n" +
				"4:05:06PM: ---- waiting on 2 changes [0/2 done] ----\n" +
				"4:05:06PM: ok: reconcile configmap/one (v1) namespace: x\n" +
				"4:05:06PM: ongoing: reconcile deployment/web (apps/v1) namespace: x\n" +
				"4:05:06PM: \x1b[2m ^ \x1b[22mWaiting for 1 unavailable replicas\n" +
				"4:05:06PM: \x1b[2m L \x1b[22mok: waiting on replicaset/web-1 (apps/v1) namespace: x\n" +
				"4:05:06PM: \x1b[2m L \x1b[22mongoing: waiting on pod/web-1-a (v1) namespace: x\n" +
				"4:05:06PM:    \x1b[2m ^ \x1b[22mPending: ContainerCreating\n" +
				"4:05:07PM: ok: reconcile deployment/web (apps/v1) namespace: x\n" +
				"4:05:07PM: ---- applying complete [2/2 done] ----\n" +
				"4:05:07PM: ---- waiting complete [2/2 done] ----\n",
			want: []string{
				"task applying running 0/2",
				"task waiting running 0/2",
				"change create configmap x/one",
				"change create Deployment x/web",
				"task deployment/web (namespace x) running",
				"task deployment/web (namespace x) running Waiting for 1 unavailable replicas",
				"task deployment/web (namespace x) running Waiting for 1 unavailable replicas; pod/web-1-a: Pending: ContainerCreating",
				"task deployment/web (namespace x) done",
				"task applying done 2/2",
				"task waiting done 2/2",
			},
		},
		"refused": {
			text: "4:05:06PM: ---- applying 2 changes [0/2 done] ----\n" +
				"4:05:06PM: update configmap/one (v1) namespace: x\n" +
				"4:05:06PM: create configmap/two (v1) namespace: x\n",
			err: errors.New("create configmap/two (v1) namespace: x: Creating resource: no"),
			want: []string{
				"task applying running 0/2",
				"change update configmap x/one",
				"task applying failed 0/2",
			},
		},
		"delete": {
			text: "4:05:06PM: delete namespace/x (v1) cluster\n" +
				"4:05:06PM: ongoing: delete namespace/x (v1) cluster\n" +
				"4:05:08PM: ok: delete namespace/x (v1) cluster\n",
			want: []string{
				"change delete namespace /x",
				"task namespace/x to be gone running",
				"task namespace/x to be gone done",
			},
		},
		"others": {
			text: "Deleted 2 older app changes\n\n^ a detail of nothing\n L ok: waiting on pod/p (v1) namespace: x\nnoop x\n",
			want: []string{"log Deleted 2 older app changes", "log ^ a detail of nothing", "log L ok: waiting on pod/p (v1) namespace: x", "log noop x"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			events := &stagetest.Recorder{}
			s := newScreen(events)
			s.PrintTable(changesTable("Deployment", "web", "apps/v1", "x"))
			for line := range strings.SplitAfterSeq(c.text, "\n") {
				s.BeginLinef("%s", line)
			}
			s.finish(c.err)
			if diff := cmp.Diff(c.want, told(events)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

func changesTable(kind, name, version, namespace string) table.Table {
	return table.Table{
		Header: []table.Header{table.NewHeader("Namespace"), table.NewHeader("Name"), table.NewHeader("Kind"), table.NewHeader("Version")},
		Rows: [][]table.Value{{
			table.NewValueString(namespace), table.NewValueString(name), table.NewValueString(kind), table.NewValueString(version),
		}},
	}
}

func TestScreenDiffs(t *testing.T) {
	s := newScreen(&stagetest.Recorder{})
	s.BeginLinef("@@ %s %s @@\n", "update", "configmap/one (v1) namespace: x")
	s.PrintBlock([]byte("\x1b[31m  1      - a: 1\x1b[0m\n\n"))
	s.BeginLinef("@@ %s %s @@\n", "", "namespace/x (v1) cluster")
	s.PrintBlock([]byte("  1,  1   a: 1\n"))
	if diff := cmp.Diff([]string{"  1      - a: 1\n", "  1,  1   a: 1\n"}, s.diffs); diff != "" {
		t.Errorf("diffs (-want +got):\n%s", diff)
	}
}

func TestGate(t *testing.T) {
	events := &stagetest.Recorder{}
	g := &gate{to: events}
	stages.Log(g, "before")
	g.close()
	stages.Log(g, "after")
	if diff := cmp.Diff([]string{"log before"}, told(events)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func FuzzScreen(f *testing.F) {
	f.Add("4:05:06PM: ---- waiting on 2 changes [0/2 done] ----\n", "ongoing: reconcile pod/p (v1) namespace: x\n ^ why\n")
	f.Add("@@ create x/y (v1) cluster @@\n", "+ a\n")
	f.Add(" L ongoing: waiting on pod/p (v1) cluster\n", "create a/b () cluster")
	f.Fuzz(func(_ *testing.T, line, block string) {
		s := newScreen(&stagetest.Recorder{})
		s.BeginLinef("%s", line)
		s.PrintBlock([]byte(block))
		s.BeginLinef("%s", block)
		s.finish(errors.New(line))
		s.pending()
	})
}
