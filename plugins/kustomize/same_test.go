package kustomize

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"strake.dev/strake/internal/peers"
	"strake.dev/strake/stages/stagetest"
)

// Each file of testdata/same is a step: its configuration, then the App's folder.
func TestSameAsKustomize(t *testing.T) {
	names, err := filepath.Glob("testdata/same/*.txtar")
	if err != nil || len(names) < 11 {
		t.Fatalf("expected at least 11 cases, found %d (%v)", len(names), err)
	}
	// Here kustomize's message depends on the machine's folders, or on what a web server says.
	ownMessage := []string{"missing-resource", "helm-charts", "no-folder"}
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
			dir := job.Sources.Dir()
			path := strings.TrimSpace(strings.TrimPrefix(c.Config, "path: "))
			want, wantErr := peers.Run(t, dir, "", nil, peers.Tool(t, "kustomize"), "build", filepath.Join(dir, path))
			if (err == nil) != (wantErr == nil) {
				t.Fatalf("kustomize: %v\nstrake: %v", wantErr, err)
			}
			if err == nil {
				// The label of managedByLabel holds the version of the program, which a test's library has not.
				version := regexp.MustCompile(`kustomize-\S+`)
				if diff := cmp.Diff(version.ReplaceAllString(want, ""), version.ReplaceAllString(string(result.Manifests), "")); diff != "" {
					t.Errorf("output differs (-kustomize +strake):\n%s", diff)
				}
				return
			}
			if slices.Contains(ownMessage, base) {
				return
			}
			said := strings.TrimPrefix(wantErr.Error(), "Error: ")
			said = strings.ReplaceAll(strings.ReplaceAll(said, dir+"/", ""), "'"+dir+"'", "'.'")
			if diff := cmp.Diff(said, err.Error()); diff != "" {
				t.Errorf("message differs (-kustomize +strake):\n%s", diff)
			}
		})
	}
}

// The version is part of each step's key, so it has to be that of the library.
func TestVersion(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(mod), "sigs.k8s.io/kustomize/api "+version+"\n") {
		t.Errorf("go.mod doesn't have kustomize %s", version)
	}
}
