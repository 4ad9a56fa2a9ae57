package e2e

import (
	"os"
	"strings"
	"testing"
)

// TestServerSideApply goes through examples/ssa with the commands that its README names.
func TestServerSideApply(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set = nil
	example, err := os.ReadFile("../../examples/ssa/app.yaml")
	if err != nil {
		t.Fatal(err)
	}
	w.write("app.yaml", string(example))
	w.replace("app.yaml", "namespace: default", "namespace: "+w.namespace)
	// Types are the whole cluster's.
	w.replace("app.yaml", "ssa.example.com", w.namespace+".example.com")

	if o := w.must("plan", "-f", "app.yaml"); !strings.Contains(o.stdout+o.stderr, "notes."+w.namespace+".example.com") {
		t.Errorf("the plan doesn't tell of the type: %s", o)
	}
	w.must("run", "-f", "app.yaml")
	if o := w.must("run", "-f", "app.yaml"); !strings.Contains(o.stderr, "nothing to apply: 3 objects are up to date") {
		t.Errorf("the second run: %s", o)
	}
	if o := w.must("inspect", "-f", "app.yaml"); !strings.Contains(o.stdout, "Note") {
		t.Errorf("inspect: %s", o)
	}
	w.replace("app.yaml", "text: first", "text: second")
	if o := w.strake("plan", "-f", "app.yaml", "--detailed-exitcode"); o.code != 2 || !strings.Contains(o.stdout+o.stderr, "second") {
		t.Errorf("plan of a change: %s", o)
	}
	w.must("plan", "-f", "app.yaml", "--out", "plan.json")
	w.must("apply", "plan.json")
	if o := w.must("history", "-f", "app.yaml"); !strings.Contains(o.stdout, "2") {
		t.Errorf("history: %s", o)
	}
	w.must("rollback", "-f", "app.yaml")
	if o := w.must("apps", "-n", w.namespace); !strings.Contains(o.stdout, "notes") {
		t.Errorf("apps: %s", o)
	}
	w.must("delete", "-f", "app.yaml")
	if o := w.strake("inspect", "-f", "app.yaml"); o.code == 0 {
		t.Errorf("inspect after delete: %s", o)
	}
}
