package ytt

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

var update = flag.Bool("update", false, "write the golden files")

// The App at the top of the repository, up to its documents.
func TestSimpleApp(t *testing.T) {
	const top = "../.."
	data, err := os.ReadFile(filepath.Join(top, "app.yaml.example"))
	if err != nil {
		t.Fatal(err)
	}
	file, err := schema.Load("app.yaml.example", data)
	if err != nil {
		t.Fatal(err)
	}
	c := stagetest.Case{
		Files:  map[string]string{},
		App:    stages.App{Name: file.Metadata().Name, Namespace: file.Metadata().Namespace},
		Values: map[string]string{"image_repo": "127.0.0.1:5000/simple-app", "replicas": "2", "hello_msg": "2026"},
	}
	for _, entry := range file.App.Spec.Fetch {
		dir, err := stages.OpenTree(filepath.Join(top, entry.Node.Get("directory").Get("path").Text()))
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close()
		for name, content := range stagetest.ReadFiles(t, dir) {
			c.Files[entry.Node.Get("path").Text()+"/"+name] = content
		}
	}
	c.Objects.ConfigMaps = map[string]map[string]string{}
	for _, m := range file.ConfigMaps {
		c.Objects.ConfigMaps[m.Metadata.Name] = m.Data
	}
	step, err := Plugin().New(file.App.Spec.Template[0].Node.Get("ytt"))
	if err != nil {
		t.Fatal(err)
	}
	result, err := step.Run(t.Context(), stagetest.NewJob(t, c))
	if err != nil {
		t.Fatalf("%v (hint: %s)", err, stages.Hint(err))
	}
	const golden = "testdata/simple-app.golden.yaml"
	if *update {
		if err := os.WriteFile(golden, result.Manifests, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(result.Manifests)); diff != "" {
		t.Errorf("documents differ (-want +got); -update writes them:\n%s", diff)
	}
}
