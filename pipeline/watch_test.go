package pipeline_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/pipeline"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// A movingStep depends on a reference that leads to the world's text.
type movingStep struct {
	cfg   movingConfig
	world *movingWorld
}

type movingConfig struct {
	Path     string `json:"path,omitempty"`
	Moving   string `json:"moving,omitempty"`
	Fixed    bool   `json:"fixed,omitempty"`
	Template string `json:"template,omitempty"`
}

type movingWorld struct{ sources, images, broken string }

func (s movingStep) Folder() string { return s.cfg.Path }

func (s movingStep) Watches(*stages.Job) (stages.Watched, error) {
	if s.cfg.Fixed {
		return stages.Watched{Paths: []string{"/etc/" + s.cfg.Moving}}, nil
	}
	return stages.Watched{References: []string{s.cfg.Moving}}, nil
}

func (s movingStep) Run(_ context.Context, job *stages.Job) (stages.Result, error) {
	if job.Folder != "" {
		return stages.Result{}, job.Out.Root().WriteFile("text", []byte(s.world.sources), 0o644)
	}
	return stages.Result{Manifests: stages.Manifests(string(job.Manifests) + s.cfg.Template + s.world.images)}, nil
}

func (s movingStep) Plan(ctx context.Context, job *stages.Job) (stages.Result, []stages.Change, error) {
	r, err := s.Run(ctx, job)
	return r, nil, err
}

// A keyedStep has a key besides.
type keyedStep struct{ movingStep }

func (s keyedStep) Key(context.Context, *stages.Job) (string, error) {
	if s.world.broken != "" && s.world.broken == s.cfg.Moving {
		return "", errors.New("no answer")
	}
	return "key " + s.world.sources, nil
}

func TestMoved(t *testing.T) {
	world := &movingWorld{sources: "one", images: "one"}
	keyed := func(c movingConfig) (stages.Step, error) { return keyedStep{movingStep{c, world}}, nil }
	plugins := stages.NewRegistry(
		stages.Define(stages.Plugin{Stage: stages.Fetch, Name: "get", Keys: []string{"moving"}, Whole: true}, keyed),
		stages.Define(stages.Plugin{Stage: stages.Template, Name: "print"}, keyed),
		stages.Define(stages.Plugin{Stage: stages.Build, Name: "make"}, func(c movingConfig) (stages.Step, error) { return movingStep{c, world}, nil }),
	)
	file, err := schema.Load("app.yaml", []byte(head+`spec:
  fetch:
  - {path: a, moving: main}
  - {path: b, moving: next}
  - {path: c, moving: file, fixed: true}
  template: [{print: {template: t, fixed: true, moving: other}}]
  build: [{make: {moving: images}}]
`))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := pipeline.Compile(file, plugins)
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t)
	watched, err := plan.Watches(f.opts)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, w := range watched {
		lines = append(lines, w.Step+": "+strings.Join(append(w.Paths, w.References...), " "))
	}
	if diff := cmp.Diff([]string{"fetch-a: main", "fetch-b: next", "fetch-c: /etc/file", "template-print: /etc/other", "build-make: images"}, lines); diff != "" {
		t.Errorf("watched (-want +got):\n%s", diff)
	}
	expect := func(when, wantErr string, want ...string) {
		t.Helper()
		before := len(f.events.events)
		moved, err := plan.Moved(t.Context(), f.opts)
		if wantErr == "" && err != nil || wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)) {
			t.Errorf("%s: error %v, expected %q", when, err, wantErr)
		}
		if diff := cmp.Diff(want, moved); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
		if len(f.events.events) != before {
			t.Errorf("%s: asking has told events", when)
		}
	}
	expect("before the first run", "")
	if _, err := plan.Run(t.Context(), f.opts); err != nil {
		t.Fatal(err)
	}
	expect("after it", "")
	world.images = "two"
	expect("an image has moved", "", "build-make")
	expect("and is asked again", "", "build-make")
	world.sources = "two"
	expect("all have moved", "", "fetch-a", "fetch-b", "build-make")
	world.broken = "main"
	expect("one doesn't answer", "no answer", "fetch-b", "build-make")
	world.broken = ""
	if _, err := plan.Run(t.Context(), f.opts); err != nil {
		t.Fatal(err)
	}
	expect("after the next run", "")
}
