package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"

	"strake.dev/strake/pipeline"
	"strake.dev/strake/plugins"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

const root = "../.."

func builtin() *stages.Registry { return stages.NewRegistry(plugins.Builtin(plugins.Deps{})...) }

// The schemas that are checked in are those of the types as they are.
func TestSchemasAreUpToDate(t *testing.T) {
	files, err := generate(builtin(), root)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range schema.JSONSchemaKinds() {
		embedded, err := schema.JSONSchema(kind)
		if err != nil {
			t.Fatal(err)
		}
		if name := kind + ".schema.json"; !bytes.Equal(embedded, files[name]) {
			t.Errorf("%s is not what the types say: run “go generate ./schema” and commit the result\n%s",
				name, cmp.Diff(string(embedded), string(files[name])))
		}
	}
	if len(files) != len(schema.JSONSchemaKinds()) {
		t.Errorf("%d files are generated for %v", len(files), schema.JSONSchemaKinds())
	}
}

func compile(t *testing.T, kind string) *validator.Schema {
	t.Helper()
	text, err := schema.JSONSchema(kind)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := validator.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := validator.NewCompiler()
	c.AssertFormat()
	id := idBase + kind + ".schema.json"
	if err := c.AddResource(id, doc); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile(id)
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// validate checks every document of a file against its schema, as an editor does.
func validate(t *testing.T, s *validator.Schema, name string, data []byte) error {
	t.Helper()
	nodes, err := schema.Parse(name, data)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		v, err := n.Value()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(v); err != nil {
			return err
		}
	}
	return nil
}

// The example files are valid by the schema, and name it for editors.
func TestExamplesAreValid(t *testing.T) {
	var files []string
	for _, pattern := range []string{"app.yaml.example", "examples/*/*app.yaml", "examples/*/pipeline.yaml"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		t.Fatal("no example was found")
	}
	for _, name := range files {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			file, err := schema.Load(name, data)
			if err != nil {
				t.Fatal(err)
			}
			kind := "app"
			if file.Pipeline != nil {
				kind = "pipeline"
			}
			if err := validate(t, compile(t, kind), name, data); err != nil {
				t.Error(err)
			}
			first, _, _ := strings.Cut(string(data), "\n")
			if !strings.HasPrefix(first, "# yaml-language-server: $schema=") || !strings.HasSuffix(first, kind+".schema.json") {
				t.Errorf("the first line is %q, expected one that names the schema", first)
			}
		})
	}
}

const appHead = "apiVersion: strake.dev/v1alpha1\nkind: App\nmetadata: {name: x}\n"

const pipelineHead = "apiVersion: strake.dev/v1alpha1\nkind: Pipeline\nmetadata: {name: x}\n"

// What the schema says of a file is what strake itself says of it.
func TestSchemaAgreesWithStrake(t *testing.T) {
	for name, test := range map[string]struct {
		kind, file string
		valid      bool
	}{
		"empty spec":              {"app", appHead + "spec: {}", true},
		"all stages":              {"app", appHead + "spec: {fetch: [{path: a, inline: {paths: {a: b}}}, {git: {url: 'https://x.example/y', ref: origin/main}, path: b}], template: [{ytt: {paths: [a]}}], build: [{kbld: {}}], deploy: [{kapp: {intoNs: x, rawOptions: ['--wait=true']}}]}", true},
		"kbld among templates":    {"app", appHead + "spec: {template: [{kbld: {}}]}", true},
		"kapp-controller":         {"app", "apiVersion: kappctrl.k14s.io/v1alpha1\nkind: App\nmetadata: {name: x}\nspec: {syncPeriod: 1h30m, template: [{ytt: {}}, {kbld: {}}]}\nstatus: {whatever: [1]}", true},
		"kapp-controller, build":  {"app", "apiVersion: kappctrl.k14s.io/v1alpha1\nkind: App\nmetadata: {name: x}\nspec: {build: [{kbld: {}}]}", false},
		"kapp-controller, verify": {"app", "apiVersion: kappctrl.k14s.io/v1alpha1\nkind: App\nmetadata: {name: x}\nspec: {verify: []}", false},
		"Secret beside":           {"app", appHead + "spec: {}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: b}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: s}\ndata: {a: b}", true},
		"Secret, wrong field":     {"app", appHead + "spec: {}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringDate: {a: b}", false},
		"unknown field":           {"app", appHead + "spec: {fetsh: []}", false},
		"unknown plugin":          {"app", appHead + "spec: {template: [{ytx: {}}]}", false},
		"unknown field, plugin":   {"app", appHead + "spec: {template: [{ytt: {path: [a]}}]}", false},
		"two plugins":             {"app", appHead + "spec: {template: [{ytt: {}, kbld: {}}]}", false},
		"two sources":             {"app", appHead + "spec: {fetch: [{inline: {}, http: {url: 'https://x.example'}}]}", false},
		"no source":               {"app", appHead + "spec: {fetch: [{path: a}]}", false},
		"no plugin":               {"app", appHead + "spec: {template: [{}]}", false},
		"not a list":              {"app", appHead + "spec: {deploy: {kapp: {}}}", false},
		"wrong type":              {"app", appHead + "spec: {paused: 'maybe'}", false},
		"bad duration":            {"app", appHead + "spec: {syncPeriod: 1 hour}", false},
		"no name":                 {"app", "apiVersion: strake.dev/v1alpha1\nkind: App\nmetadata: {}\nspec: {}", false},
		"no spec":                 {"app", appHead, false},
		"unknown version":         {"app", "apiVersion: strake.dev/v2\nkind: App\nmetadata: {name: x}\nspec: {}", false},
		"required in a plugin":    {"app", appHead + "spec: {fetch: [{git: {ref: main}}]}", false},

		"steps":               {"pipeline", pipelineHead + "spec: {stages: [{name: a, stage: fetch, uses: vendir, timeout: 90s, with: {inline: {paths: {a: b}}}}, {name: b, stage: template, uses: ytt}]}", true},
		"no stages":           {"pipeline", pipelineHead + "spec: {}", false},
		"unknown stage":       {"pipeline", pipelineHead + "spec: {stages: [{name: a, stage: fetsh, uses: vendir}]}", false},
		"plugin of a stage":   {"pipeline", pipelineHead + "spec: {stages: [{name: a, stage: template, uses: kapp}]}", false},
		"field of a plugin":   {"pipeline", pipelineHead + "spec: {stages: [{name: a, stage: template, uses: ytt, with: {intoNs: x}}]}", false},
		"bad timeout":         {"pipeline", pipelineHead + "spec: {stages: [{name: a, stage: template, uses: ytt, timeout: soon}]}", false},
		"unknown field, step": {"pipeline", pipelineHead + "spec: {stages: [{name: a, stage: template, uses: ytt, retry: 1}]}", false},
		"stages and apps":     {"pipeline", pipelineHead + "spec: {apps: [app.yaml], stages: [{name: a, stage: template, uses: ytt}]}", false},
		"all of a pipeline": {"pipeline", pipelineHead + `spec:
  params: [{name: channel, type: string, default: edge, enum: [edge, stable]}, {name: n, type: int, default: 1}]
  env: [HOME, {name: TOKEN, default: "", secret: true}]
  targets:
  - {name: staging, kube: {context: a, kubeconfig: k, namespace: s}, registry: r.io/team, values: {a: 1}}
  - {name: prod, needs: [staging], when: "params.channel == 'stable'"}
  maxParallel: 2
  stages:
  - {name: a, stage: template, uses: ytt, when: "target != ''", timeout: 1m, retries: 2, continueOnError: true}
  - {name: b, stage: template, uses: ytt, with: {paths: ["${{ steps.a.outputs.digest }}"]}}
`, true},
		"no name of the step": {"pipeline", pipelineHead + "spec: {stages: [{stage: template, uses: ytt}]}", false},
	} {
		t.Run(name, func(t *testing.T) {
			err := validate(t, compile(t, test.kind), "test.yaml", []byte(test.file))
			if (err == nil) != test.valid {
				t.Errorf("valid by the schema: %t, want %t: %v", err == nil, test.valid, err)
			}
			file, err := schema.Load("test.yaml", []byte(test.file))
			if err == nil {
				_, err = pipeline.Compile(file, builtin())
			}
			if (err == nil) != test.valid {
				t.Errorf("valid by strake: %t, want %t: %v", err == nil, test.valid, err)
			}
		})
	}
}

// Sample has a field of every kind.
type sample struct {
	Exported
	Name   string         `json:"name" required:"true"`
	Mode   string         `json:"mode" enum:"a,b"`
	Wait   time.Duration  `json:"wait"`
	Any    *schema.Node   `json:"any"`
	Plain  any            `json:"plain"`
	List   []*sample      `json:"list"`
	Map    map[string]int `json:"map"`
	Ratio  *float64       `json:"ratio"`
	Own    schema.Entry   `json:"own"`
	Hidden string         `json:"-"`
	NoTag  bool
}

// Exported is embedded.
type Exported struct {
	On bool `json:"on"`
}

func TestReflect(t *testing.T) {
	r := reflector{comments: comments{}, defs: jsonschema.Definitions{}, types: map[string]reflect.Type{}}
	s, err := r.of(reflect.TypeFor[sample]())
	if err != nil {
		t.Fatal(err)
	}
	s.Definitions = r.defs
	got, err := encode(s)
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/sample.json"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("schema differs (-want +got):\n%s", diff)
	}
	if _, err := r.of(reflect.TypeFor[struct{ C chan int }]()); err == nil {
		t.Error("a type that no file can set was taken")
	}
}
