package pipeline_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"strake.dev/strake/pipeline"
	"strake.dev/strake/stages"
)

// A decrypting step lays a plain file over the App's folder; what reads it prints it.
type decrypting struct{}

func (decrypting) Run(context.Context, *stages.Job) (stages.Result, error) {
	return stages.Result{Overlay: &stages.Overlay{
		Files: map[string][]byte{"plain.yml": []byte("open-sesame")}, Hidden: map[string]bool{"out": true},
	}}, nil
}

type reading struct{ log *callLog }

func (s reading) Key(ctx context.Context, job *stages.Job) (string, error) {
	return job.Sources.Digest(ctx)
}

func (s reading) Run(_ context.Context, job *stages.Job) (stages.Result, error) {
	s.log.add("read")
	if _, err := fs.Stat(job.Sources.FS(), "out"); err == nil {
		s.log.add("the encrypted file is seen")
	}
	data, err := fs.ReadFile(job.Sources.FS(), "plain.yml")
	return stages.Result{Manifests: stages.Manifests("length: " + string(rune('0'+len(data)/10)) + "\n")}, err
}

type building struct{ log *callLog }

func (s building) Run(_ context.Context, job *stages.Job) (stages.Result, error) {
	if _, err := fs.Stat(job.Sources.FS(), "plain.yml"); err == nil {
		s.log.add("the plain file is seen by a build")
	}
	return stages.Result{Manifests: job.Manifests}, nil
}

func TestOverlayReachesLaterTemplateStepsOnly(t *testing.T) {
	log := &callLog{}
	step := func(s stages.Step) func(struct{}) (stages.Step, error) {
		return func(struct{}) (stages.Step, error) { return s, nil }
	}
	get, _ := fakes(log).Named(stages.Fetch, "get")
	plugins := stages.NewRegistry(get,
		stages.Define(stages.Plugin{Stage: stages.Template, Name: "decrypt"}, step(decrypting{})),
		stages.Define(stages.Plugin{Stage: stages.Template, Name: "read"}, step(reading{log})),
		stages.Define(stages.Plugin{Stage: stages.Build, Name: "build"}, step(building{log})),
	)
	const app = "apiVersion: strake.dev/v1alpha1\nkind: App\nmetadata: {name: a}\nspec:\n  fetch: [{write: x}]\n  template: [{decrypt: {}}, {read: {}}]\n  build: [{build: {}}]\n"
	dir := t.TempDir()
	for range 2 {
		plan, err := load("app.yaml", []byte(app), plugins)
		if err != nil {
			t.Fatal(err)
		}
		report, err := plan.Run(t.Context(), pipeline.Options{Workspace: dir, Observer: discard{}})
		if err != nil {
			t.Fatal(err)
		}
		if string(report.Manifests) != "length: 1\n" {
			t.Errorf("expected the plain file's length, found %q", report.Manifests)
		}
	}
	var reads int
	for _, call := range log.take() {
		switch call {
		case "read":
			reads++
		case "the encrypted file is seen", "the plain file is seen by a build":
			t.Error(call)
		}
	}
	if reads != 1 {
		t.Errorf("expected the second run to leave the reading step out, found %d reads", reads)
	}
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		if bytes.Contains(data, []byte("open-sesame")) {
			t.Errorf("%s holds the plain text", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

type discard struct{}

func (discard) Observe(stages.Event) {}
