package krm

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strake.dev/strake/internal/extension"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

const object = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  annotations: {keep: me}\ndata: {k: '1'}\n"

// function is a function that is a shell script.
func function(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "function")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConformance(t *testing.T) {
	place, err := filepath.Abs("../../examples/plugins/krm/set-namespace")
	if err != nil {
		t.Fatal(err)
	}
	stagetest.Run(t, Plugin(&extension.Host{Allowed: []string{place}}),
		stagetest.Case{
			Name: "set-namespace", Config: "exec: " + place + "\nconfig: {namespace: shop}\n", Manifests: object,
			WantManifests: "---\napiVersion: v1\ndata:\n  k: \"1\"\nkind: ConfigMap\nmetadata:\n  annotations:\n    keep: me\n  name: a\n  namespace: shop\n",
		},
		stagetest.Case{
			Name: "config of a file", Config: "exec: " + place + "\nconfigPath: f.yaml\n", Manifests: object,
			Files:    map[string]string{"f.yaml": "{namespace: shop}", "other": ""},
			Variants: []stagetest.Variant{{Name: "its content", Change: func(c *stagetest.Case) { c.Files["f.yaml"] = "{namespace: other}" }}},
		},
	)
	stagetest.RunBad(t, Plugin(&extension.Host{}),
		stagetest.BadConfig{Name: "image", Config: "image: ghcr.io/x/y", Want: "test.yaml:1:8: image: functions in container images aren't run"},
		stagetest.BadConfig{Name: "none", Config: "config: {}", Want: "expected exactly one of exec, plugin"},
		stagetest.BadConfig{Name: "two configs", Config: "exec: a\nconfig: {}\nconfigPath: b", Want: "expected either config or configPath"},
		stagetest.BadConfig{Name: "name", Config: "plugin: ../a", Want: "expected a name of lower-case letters"},
	)
}

// A change of the executable is one of the step.
func TestWatches(t *testing.T) {
	path := function(t, "")
	watched, err := stagetest.Bind(t, Plugin(&extension.Host{}), "exec: "+path).(stages.Watcher).Watches(stagetest.NewJob(t, stagetest.Case{}))
	if err != nil || len(watched.Paths) != 1 || watched.Paths[0] != path || watched.References != nil {
		t.Errorf("expected %s to be watched, found %+v %v", path, watched, err)
	}
}

func TestResults(t *testing.T) {
	const list = "cat >/dev/null; cat <<E\napiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems: []\nresults:\n- message: too many\n  severity: SEVERITY\n  resourceRef: {kind: Pod, name: a}\n  field: {path: spec.replicas}\n  file: {path: a.yaml, index: 2}\nE\n"
	const told = "a.yaml[2]: pod/a: spec.replicas: too many"
	tests := map[string]struct {
		script, event, want string
	}{
		"warning":        {strings.ReplaceAll(list, "SEVERITY", "warning"), told, ""},
		"info":           {strings.ReplaceAll(list, "SEVERITY", "info"), told, ""},
		"error":          {strings.ReplaceAll(list, "SEVERITY", "error"), "", told},
		"error and exit": {strings.ReplaceAll(list, "SEVERITY", "error") + "exit 1\n", "", told},
		"exit":           {"cat >/dev/null; echo out of luck >&2; exit 3", "", "exit status 3: out of luck"},
		"no list":        {"echo hello", "", "what it printed is no ResourceList"},
		"another kind":   {"echo 'kind: List'", "", `kind "List"`},
		"no object":      {"echo '{apiVersion: config.kubernetes.io/v1, kind: ResourceList, items: [{a: 1}]}'", "", "item 0 of what it printed is no object"},
		"whole numbers":  {"echo '{apiVersion: config.kubernetes.io/v1, kind: ResourceList, items: [{apiVersion: v1, kind: A, k: 9007199254740993}]}'", "", ""},
		"endless":        {"yes", "", "maxOutput"},
		"never ends":     {"sleep 1000", "", "took longer than its timeout"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path := function(t, test.script)
			job := stagetest.NewJob(t, stagetest.Case{Manifests: object})
			result, err := stagetest.Bind(t, Plugin(&extension.Host{Allowed: []string{path}}), "exec: "+path+"\ntimeout: 2s\nmaxOutput: 1Mi").Run(t.Context(), job)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path)) {
				t.Errorf("expected an error of %s with %q, found %v", path, test.want, err)
			}
			if name == "whole numbers" && !strings.Contains(string(result.Manifests), "k: 9007199254740993\n") {
				t.Errorf("found %s", result.Manifests)
			}
			said := false
			for _, e := range stagetest.Recorded(job).Events() {
				said = said || strings.Contains(e.Message, test.event) && (e.Type == stages.LogLine || e.Type == stages.Warning)
			}
			if test.event != "" && !said {
				t.Errorf("expected to be told %q", test.event)
			}
		})
	}
}
