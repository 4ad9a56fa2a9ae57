package exec

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/stages"
	"strake.dev/strake/stages/protocol"
	"strake.dev/strake/stages/stagetest"
)

const declared = "\noutputs:\n  objects: {type: int, doc: How many.}\n  owner: {type: string}\n  ready: {type: bool}\n"

// What a plugin yields has the types that the step declares; anything else is an error of the plugin.
func TestOutputs(t *testing.T) {
	tests := map[string]struct {
		result, want string
		values       map[string]any
	}{
		"all":          {`{"outputs":{"objects":3,"owner":"shop","ready":true}}`, "", map[string]any{"objects": int64(3), "owner": "shop", "ready": true}},
		"skipped":      {`{"skipped":"nothing to do"}`, "", map[string]any{}},
		"none":         {`{}`, "has not yielded what the step declares: outputs: objects, owner, ready", nil},
		"one missing":  {`{"outputs":{"objects":3,"ready":true}}`, "has not yielded what the step declares: outputs: owner", nil},
		"unknown":      {`{"outputs":{"objects":3,"owner":"shop","ready":true,"more":1}}`, "has yielded the output more, which the step doesn't declare", nil},
		"another type": {`{"outputs":{"objects":"3","owner":"shop","ready":true}}`, "output objects: expected the type int, found string", nil},
		"no whole one": {`{"outputs":{"objects":3.5,"owner":"shop","ready":true}}`, "output objects: expected the type int, found number", nil},
		"too large":    {`{"outputs":{"objects":1e300,"owner":"shop","ready":true}}`, "output objects: expected the type int", nil},
		"null":         {`{"outputs":{"objects":3,"owner":null,"ready":true}}`, "output owner: expected the type string, found null", nil},
		"a list":       {`{"outputs":{"objects":3,"owner":"shop","ready":[true]}}`, "output ready: expected the type bool, found array", nil},
		"an escape":    {`{"outputs":{"objects":3,"owner":"\u001b[2J","ready":true}}`, "output owner: expected a text of at most 16384 bytes without control characters", nil},
		"no object":    {`{"outputs":[1]}`, "is not a message", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path := script(t, greets+"printf '%s\\n' '{\"result\":"+test.result+"}'\n")
			job := stagetest.NewJob(t, stagetest.Case{Manifests: "a: 1\n"})
			result, err := stagetest.Bind(t, of(stages.Template, path), "path: "+path+declared).Run(t.Context(), job)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path)) {
				t.Fatalf("expected an error of %s with %q, found %v", path, test.want, err)
			}
			if diff := cmp.Diff(test.values, result.Outputs); test.want == "" && diff != "" {
				t.Errorf("outputs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDeclaredOutputs(t *testing.T) {
	step := stagetest.Bind(t, of(stages.Template), "path: x"+declared)
	want := []stages.Output{{Name: "objects", Doc: "How many.", Example: int64(1)}, {Name: "owner", Example: "example"}, {Name: "ready", Example: true}}
	if diff := cmp.Diff(want, step.(stages.Yielder).Outputs()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	stagetest.RunBad(t, of(stages.Template),
		stagetest.BadConfig{Name: "type", Config: "path: x\noutputs:\n  n: {type: float}", Want: "test.yaml:3:6: outputs.n: expected the type string, int or bool, found \"float\""},
		stagetest.BadConfig{Name: "no type", Config: "path: x\noutputs:\n  n: {}", Want: "outputs.n"},
		stagetest.BadConfig{Name: "name", Config: "path: x\noutputs:\n  a-b: {type: string}", Want: "expected the name of an output"},
		stagetest.BadConfig{Name: "the stage's", Config: "path: x\noutputs:\n  digest: {type: string}", Want: "outputs.digest: digest is an output that strake gives to steps"},
	)
}

// A change of the executable is one of the step.
func TestWatches(t *testing.T) {
	path := script(t, "")
	watched, err := stagetest.Bind(t, of(stages.Template, path), "path: "+path).(stages.Watcher).Watches(stagetest.NewJob(t, stagetest.Case{}))
	if diff := cmp.Diff(stages.Watched{Paths: []string{path}}, watched); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// Whatever a plugin yields, it is an error or has the types that the step declares.
func FuzzOutputs(f *testing.F) {
	for _, seed := range []string{`{"a":1}`, `{"a":"x","b":true}`, `{"a":1e300}`, `{"a":-0.0,"c":"\u0000"}`, `{"a":null}`, `[]`} {
		f.Add([]byte(seed))
	}
	s := &step{config: Config{Outputs: map[string]Output{"a": {Type: "int"}, "b": {Type: "bool"}, "c": {Type: "string"}}}}
	f.Fuzz(func(t *testing.T, in []byte) {
		var r protocol.Result
		if json.Unmarshal(in, &r.Outputs) != nil {
			return
		}
		values, err := s.outputs(&r, protocol.Plan)
		if err != nil {
			return
		}
		for name, v := range values {
			if _, ok := v.(int64); name == "a" && !ok {
				t.Errorf("%s is %T", name, v)
			}
			if _, ok := v.(bool); name == "b" && !ok {
				t.Errorf("%s is %T", name, v)
			}
			if c, ok := v.(string); name == "c" && (!ok || strings.Contains(c, "\x1b") || len(c) > maxLongText) {
				t.Errorf("%s is %q", name, v)
			}
		}
	})
}
