package cue

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"strake.dev/strake/internal/peers"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages/stagetest"
)

// Each file of testdata/same is a step: its configuration, then the App's folder.
func TestSameAsCue(t *testing.T) {
	names, err := filepath.Glob("testdata/same/*.txtar")
	if err != nil || len(names) < 20 {
		t.Fatalf("expected at least 20 cases, found %d (%v)", len(names), err)
	}
	// Here the message names a file differently, or says what is different: that no registry is asked.
	ownMessage := []string{"conflict", "registry", "missing-path", "missing-output", "no-files"}
	for _, name := range names {
		base := strings.TrimSuffix(filepath.Base(name), ".txtar")
		t.Run(base, func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			c := stagetest.Case{Config: string(archive.Comment), Files: map[string]string{}}
			for _, f := range archive.Files {
				c.Files[f.Name] = string(f.Data)
			}
			job := stagetest.NewJob(t, c)
			result, err := stagetest.Bind(t, Plugin(), c.Config).Run(t.Context(), job)
			var config Config
			if node := stagetest.Node(t, c.Config); node != nil {
				if err := schema.Decode(node, &config); err != nil {
					t.Fatal(err)
				}
			}
			dir := job.Sources.Dir()
			env := []string{"CUE_CACHE_DIR=" + t.TempDir(), "CUE_REGISTRY=none"}
			want, wantErr := peers.Run(t, dir, "", env, peers.Tool(t, "cue"), commandLine(&config)...)
			if (err == nil) != (wantErr == nil) {
				t.Fatalf("cue: %v\nstrake: %v", wantErr, err)
			}
			if err == nil {
				if diff := cmp.Diff(want, string(result.Manifests)); diff != "" {
					t.Errorf("output differs (-cue +strake):\n%s", diff)
				}
				return
			}
			if strings.Contains(err.Error(), dir) {
				t.Errorf("message names the folder of the workspace: %v", err)
			}
			if slices.Contains(ownMessage, base) {
				return
			}
			if diff := cmp.Diff(wantErr.Error(), err.Error()); diff != "" {
				t.Errorf("message differs (-cue +strake):\n%s", diff)
			}
		})
	}
}

// commandLine says how kapp-controller would call cue.
func commandLine(c *Config) []string {
	args := []string{"export", "--out", "yaml"}
	if len(c.Paths) == 0 {
		args = append(args, ".")
	}
	for _, p := range c.Paths {
		if filepath.Ext(p) == "" && p != "." {
			p = "./" + p
		}
		args = append(args, p)
	}
	if c.InputExpression != "" {
		args = append(args, "--path", c.InputExpression)
	}
	for _, v := range c.ValuesFrom {
		args = append(args, v.Path)
	}
	if c.OutputExpression != "" {
		args = append(args, "--expression", c.OutputExpression)
	}
	return args
}

// The version is part of each step's key, so it has to be that of the library.
func TestVersion(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(mod), "cuelang.org/go "+version+"\n") {
		t.Errorf("go.mod doesn't have cue %s", version)
	}
}
