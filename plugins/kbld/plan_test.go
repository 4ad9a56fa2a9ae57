package kbld_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

func TestPlan(t *testing.T) {
	w := newWorld(t)
	w.push("base:1", "base")
	w.push("other:1", "other")
	c := simple()
	c.Config = strings.ReplaceAll(strings.Replace(c.Config, "HOST/team/app}", "HOST/team/app, tags: [latest]}", 1), "HOST", w.host)
	c.Manifests = deployment("app", w.host+"/other:1")
	c.Files["src/Dockerfile"] = "FROM " + w.host + "/base:1\nCOPY . /\n"
	plan := func() (stages.Result, []stages.Change) {
		t.Helper()
		w.seen()
		result, changes, err := stagetest.Bind(t, w.plugin(), c.Config).(stages.Planner).Plan(t.Context(), stagetest.NewJob(t, c))
		if err != nil {
			t.Fatal(err)
		}
		if found := writes(w.seen()); len(found) > 0 || w.builder.count() > 0 {
			t.Errorf("plan wrote: %v", found)
		}
		return result, changes
	}

	result, changes := plan()
	var ops []string
	for _, c := range changes {
		name, _, _ := strings.Cut(strings.TrimPrefix(c.Name, w.host), "strake-")
		ops = append(ops, c.Op+" "+c.Kind+" "+name+" because "+c.Reason)
	}
	want := []string{
		"build image /team/app: because first build",
		"push image /team/app: because first build",
		"push image /team/app:latest because tag of the destination",
	}
	if diff := cmp.Diff(want, ops); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if !strings.Contains(string(result.Manifests), "image: "+w.host+"/team/app:strake-") || !strings.Contains(string(result.Manifests), "/other@sha256:") {
		t.Errorf("manifests:\n%s", result.Manifests)
	}
	if len(result.Images) != 1 {
		t.Errorf("images: %+v, expected only that which isn't built", result.Images)
	}

	job, first := w.must(c)
	var made []stages.Change
	for _, e := range stagetest.Recorded(job).Events() {
		if e.Change != nil {
			made = append(made, *e.Change)
		}
	}
	if diff := cmp.Diff(changes, made); diff != "" {
		t.Errorf("run made other changes than were planned (-plan +run):\n%s", diff)
	}
	w.builder.count()

	result, changes = plan()
	if len(changes) > 0 {
		t.Errorf("changes after the run: %v", changes)
	}
	if diff := cmp.Diff(first, result, sameImages); diff != "" {
		t.Errorf("plan after the run (-run +plan):\n%s", diff)
	}

	// Somebody else has moved the tag.
	w.push("team/app:latest", "somebody else's")
	if _, changes = plan(); len(changes) != 1 || changes[0].Name != w.host+"/team/app:latest" {
		t.Errorf("changes: %v", changes)
	}
	job, _ = w.must(c)
	if _, changes = plan(); len(changes) != 0 {
		t.Errorf("changes: %v", changes)
	}
	if got := images(job)["app"]; got.Action != "reused" {
		t.Errorf("image: %+v", got)
	}
}
