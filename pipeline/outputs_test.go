package pipeline_test

import (
	"context"
	"strings"
	"testing"

	"strake.dev/strake/pipeline"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// A yielding step declares its outputs itself.
type yielding struct{ cfg yieldConfig }

type yieldConfig struct {
	Declare string `json:"declare,omitempty"`
	Say     string `json:"say,omitempty"`
}

func (s yielding) Outputs() []stages.Output {
	if s.cfg.Declare == "" {
		return nil
	}
	return []stages.Output{{Name: s.cfg.Declare, Example: "example"}}
}

func (s yielding) Run(_ context.Context, job *stages.Job) (stages.Result, error) {
	job.Hide([]byte("hunter2-of-the-plugin"))
	r := stages.Result{Manifests: stages.Manifests(string(job.Manifests) + s.cfg.Say + "\n")}
	if s.cfg.Declare != "" {
		r.Outputs = map[string]any{s.cfg.Declare: s.cfg.Say}
	}
	return r, nil
}

// What a step declares by its configuration can be named by later ones, and nothing else.
func TestDeclaredOutputs(t *testing.T) {
	plugins := stages.NewRegistry(stages.Define(stages.Plugin{Stage: stages.Template, Name: "yield"}, func(c yieldConfig) (stages.Step, error) { return yielding{c}, nil }))
	for name, test := range map[string]struct{ first, names, want, wrong, err string }{
		"declared": {"declare: said, say: one", "said", "one\nlater one\n", "", ""},
		"another":  {"declare: said, say: one", "sayed", "", `there is no "sayed"`, ""},
		"none":     {"say: one", "said", "", `there is no "said"`, ""},
		"a secret": {"declare: said, say: is hunter2-of-the-plugin", "said", "", "", "first (p.yaml:6:5): the output said holds a secret"},
	} {
		t.Run(name, func(t *testing.T) {
			file, err := schema.Load("p.yaml", []byte(pipeHead+"  stages:\n  - {name: first, stage: template, uses: yield, with: {"+test.first+"}}\n"+
				"  - {name: second, stage: template, uses: yield, with: {say: \"later ${{ steps.first.outputs."+test.names+" }}\"}}\n"))
			if err != nil {
				t.Fatal(err)
			}
			plan, err := pipeline.Compile(file, plugins)
			if test.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), test.wrong) {
					t.Errorf("expected %q, found %v", test.wrong, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			f := newFixture(t)
			report, err := plan.Run(t.Context(), f.opts)
			if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Fatalf("expected %q, found %v", test.err, err)
			}
			if found := string(report.Manifests); test.err == "" && found != test.want {
				t.Errorf("expected %q, found %q", test.want, found)
			}
		})
	}
}
