package appvalues

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/stages/stagetest"
)

func TestSet(t *testing.T) {
	got, err := Set(map[string]string{"a.b": "1", "a.c": "{d: [x]}", "a.c.e": "true", `k\.l`: "text", "n": "null", "empty": ""})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"a":   map[string]any{"b": 1, "c": map[string]any{"d": []any{"x"}, "e": true}},
		"k.l": "text", "n": nil, "empty": nil,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values differ (-want +got):\n%s", diff)
	}
	if _, err := Set(map[string]string{"a": "b: c: d"}); err == nil || !strings.Contains(err.Error(), "--set a: ") {
		t.Errorf("expected an error that names the key, found %v", err)
	}
}

func TestRead(t *testing.T) {
	job := stagetest.NewJob(t, stagetest.Case{
		Files:     map[string]string{"d/v.yml": "a: 1"},
		Manifests: "m: 1\n",
		Objects:   stagetest.Objects{ConfigMaps: map[string]map[string]string{"v": {"b.yml": "b: 1", "a.yml": "a: 1"}}},
	})
	l := NewLookup(job)
	found, err := l.Read(t.Context(), sources(t, "\n- path: d/v.yml\n- path: '-'\n- configMapRef: {name: v}\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found {
		got = append(got, f.Name+" "+f.Base+" "+string(f.Data))
	}
	want := []string{"d/v.yml v.yml a: 1", "the manifests so far stdin.yml m: 1\n", "ConfigMap v, a.yml a.yml a: 1", "ConfigMap v, b.yml b.yml b: 1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values differ (-want +got):\n%s", diff)
	}
	for text, want := range map[string]string{
		"d": "d: is a folder, expected a file with values", "none": "none: no such file or folder",
	} {
		if _, err := l.Read(t.Context(), sources(t, "\n- path: "+text)); err == nil || !strings.Contains(err.Error(), "valuesFrom[0]: "+want) {
			t.Errorf("%s: expected an error with %q, found %v", text, want, err)
		}
	}
	job.Manifests = nil
	if _, err := l.Read(t.Context(), sources(t, "\n- path: '-'")); err == nil || !strings.Contains(err.Error(), "there are no manifests yet") {
		t.Errorf("expected an error without manifests, found %v", err)
	}
}
