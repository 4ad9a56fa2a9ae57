package stages_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

type config struct {
	Path string `json:"path" required:"true"`
}

type step struct{ config }

func (step) Run(context.Context, *stages.Job) (stages.Result, error) { return stages.Result{}, nil }

func bind(c config) (stages.Step, error) { return step{c}, nil }

func TestDefineDecodesStrictly(t *testing.T) {
	p := stages.Define(stages.Plugin{Stage: stages.Fetch, Name: "x"}, bind)
	for in, want := range map[string]string{
		"path: a":    "",
		"pth: a":     "f.yaml:1:1: pth: unknown field (did you mean path?)\nf.yaml:1:1: path: missing, but required",
		"path: [a]":  "f.yaml:1:7: path: expected a string, found a list",
		"path: null": "f.yaml:1:7: path: is empty, but required",
	} {
		nodes, err := schema.Parse("f.yaml", []byte(in))
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.New(nodes[0])
		if got := errText(err); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
	if _, err := p.New(nil); err == nil || !strings.Contains(err.Error(), "path: missing, but required") {
		t.Errorf("no configuration: %v", err)
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestRegistryFindsByNameAndKey(t *testing.T) {
	r := stages.NewRegistry(
		stages.Define(stages.Plugin{Stage: stages.Fetch, Name: "vendir", Keys: []string{"git", "http"}, Whole: true}, bind),
		stages.Define(stages.Plugin{Stage: stages.Template, Name: "ytt"}, bind),
	)
	if p, ok := r.ByKey(stages.Fetch, "git"); !ok || p.Name != "vendir" {
		t.Errorf("git is %v", p.Name)
	}
	if _, ok := r.ByKey(stages.Fetch, "vendir"); ok {
		t.Error("vendir is no key")
	}
	if _, ok := r.Named(stages.Template, "ytt"); !ok {
		t.Error("no ytt")
	}
	if _, ok := r.Named(stages.Build, "ytt"); ok {
		t.Error("ytt builds")
	}
	defer func() {
		if recover() == nil {
			t.Error("two plugins of one name are accepted")
		}
	}()
	p := stages.Define(stages.Plugin{Stage: stages.Fetch, Name: "a"}, bind)
	stages.NewRegistry(p, p)
}

func TestHintIsThatOfTheOutermostError(t *testing.T) {
	inner := stages.WithHint(errors.New("x"), "turn %s on", "it")
	outer := stages.WithHint(errors.Join(inner), "outer")
	if got := stages.Hint(outer); got != "outer" {
		t.Errorf("hint is %q", got)
	}
	if got := outer.Error(); got != "x" {
		t.Errorf("text is %q", got)
	}
	if got := stages.Hint(errors.New("x")); got != "" {
		t.Errorf("hint is %q", got)
	}
}
