package exec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strake.dev/strake/internal/extension"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

// of is the plugin of a stage, with all executables of a folder allowed.
func of(stage stages.Stage, allowed ...string) stages.Plugin {
	for _, p := range Plugins(&extension.Host{Allowed: allowed}) {
		if p.Stage == stage {
			return p
		}
	}
	panic("no such stage")
}

func example(t testing.TB, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../../examples/plugins", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConformance(t *testing.T) {
	label := example(t, "shell/strake-plugin-label")
	stagetest.Run(t, of(stages.Template, label),
		stagetest.Case{
			Name: "shell", Config: "path: " + label + "\nwith: {owner: shop}\n", Manifests: "a: 1\n", Files: map[string]string{"f": "x"},
			WantManifests: "# owner: shop\na: 1\n",
			Variants: []stagetest.Variant{
				{Name: "a file", Change: func(c *stagetest.Case) { c.Files["f"] = "y" }},
				{Name: "a label", Change: func(c *stagetest.Case) { c.App.Labels["l"] = "y" }},
			},
		},
		stagetest.Case{
			Name: "its error", Config: "path: " + label, Manifests: "a: 1\n",
			WantError: "with.owner: missing, but required", WantHint: "name a team",
		},
	)
}

// script is an executable that is a shell script.
func script(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "strake-plugin-test")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestNotAllowed(t *testing.T) {
	path := script(t, "touch "+filepath.Join(t.TempDir(), "ran"))
	step := stagetest.Bind(t, of(stages.Template), "path: "+path)
	_, err := step.Run(t.Context(), stagetest.NewJob(t, stagetest.Case{}))
	if err == nil || !strings.Contains(stages.Hint(err), "--allow-plugin "+path) {
		t.Errorf("expected to be told the flag, found %v (%s)", err, stages.Hint(err))
	}
}
