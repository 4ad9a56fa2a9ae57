package kbld_test

import (
	"strings"
	"testing"

	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

// in puts a kbld Config into the plugin's configuration.
func in(config string) string { return "config:\n  " + strings.ReplaceAll(config, "\n", "\n  ") }

func TestBadConfig(t *testing.T) {
	sources := func(options string) string { return in("sources:\n- {image: app, path: src" + options + "}") }
	stagetest.RunBad(t, newWorld(t).plugin(),
		stagetest.BadConfig{Name: "address", Config: "buildkit: {address: 'unics:///x'}", Want: `test.yaml:1:21: buildkit.address: BuildKit address "unics:///x": expected it to begin with one of unix://`},
		stagetest.BadConfig{Name: "address without scheme", Config: "buildkit: {address: /run/x.sock}", Want: "(for example unix:///run/buildkit/buildkitd.sock)"},
		stagetest.BadConfig{Name: "address without port", Config: "buildkit: {address: 'tcp://host'}", Want: "expected something like tcp://"},
		stagetest.BadConfig{Name: "unknown key", Config: "buildkit: {Address: x}", Want: "did you mean address?"},
		stagetest.BadConfig{Name: "path leaves", Config: "paths: [a, ../b]", Want: "test.yaml:1:12: paths[1]: ../b: leads out of the App's folder"},
		stagetest.BadConfig{Name: "config is a list", Config: "config: []", Want: "config: expected a mapping"},

		stagetest.BadConfig{Name: "source without path", Config: in("sources:\n- image: app"), Want: "test.yaml:3:5: config.sources[0]: has no path"},
		stagetest.BadConfig{Name: "source without image", Config: in("sources:\n- path: src"), Want: "config.sources[0]: names no image"},
		stagetest.BadConfig{Name: "source leaves", Config: in("sources:\n- {image: app, path: ../src}"), Want: "config.sources[0]: path: ../src: leads out of the App's folder"},
		stagetest.BadConfig{Name: "Dockerfile leaves", Config: sources(", buildkit: {dockerfile: ../../Dockerfile}"), Want: "leads out of the App's folder"},
		stagetest.BadConfig{Name: "absolute Dockerfile", Config: sources(", docker: {build: {file: /Dockerfile}}"), Want: "expected a path relative to the source's path"},
		stagetest.BadConfig{Name: "unknown option", Config: sources(", buildkit: {dokerfile: x}"), Want: "test.yaml:3:40: config.sources[0].buildkit.dokerfile: unknown field (did you mean dockerfile?)"},
		stagetest.BadConfig{Name: "argument is a number", Config: sources(", buildkit: {buildArgs: {V: 1.20}}"), Want: `put it in quotes: "1.20"`},
		stagetest.BadConfig{Name: "platform", Config: sources(", buildkit: {platforms: [amd64]}"), Want: `platform "amd64": expected the form linux/amd64`},
		stagetest.BadConfig{Name: "two builders", Config: sources(", buildkit: {}, docker: {}"), Want: "cannot be combined with another builder"},
		stagetest.BadConfig{Name: "pack", Config: sources(", pack: {build: {builder: x}}"), Want: `config.sources[0]: builder "pack" is not supported by this version`},
		stagetest.BadConfig{Name: "ko", Config: sources(", ko: {}"), Want: `builder "ko"`},
		stagetest.BadConfig{Name: "bazel", Config: sources(", bazel: {}"), Want: `builder "bazel"`},
		stagetest.BadConfig{Name: "raw option", Config: sources(", docker: {build: {rawOptions: [--squash]}}"), Want: `config.sources[0]: rawOptions: "--squash" is not supported`},
		stagetest.BadConfig{Name: "raw option, near", Config: sources(", docker: {buildx: {rawOptions: [--build-args=A=b]}}"), Want: "did you mean --build-arg?"},
		stagetest.BadConfig{Name: "raw options no list", Config: sources(", docker: {build: {rawOptions: --pull}}"), Want: "rawOptions"},

		stagetest.BadConfig{Name: "strategy", Config: in("searchRules:\n- {keyMatcher: {name: a}, updateStrategy: {entireString: {}}}"), Want: "unknown update strategy"},
		stagetest.BadConfig{Name: "no strategy", Config: in("searchRules:\n- {keyMatcher: {name: a}, updateStrategy: {none: }}"), Want: "expected one of none, entireValue, json, yaml"},
		stagetest.BadConfig{Name: "nested strategy", Config: in("searchRules:\n- {keyMatcher: {name: a}, updateStrategy: {yaml: {searchRules: [{keyMatcher: {name: b}, updateStrategy: {Json2: {}}}]}}}"), Want: "searchRules[0].updateStrategy.yaml.searchRules[0].updateStrategy.Json2: unknown update strategy"},
		stagetest.BadConfig{Name: "nested matcher", Config: in("searchRules:\n- {keyMatcher: {name: a}, updateStrategy: {json: {searchRules: [{keyMatcher: {}}]}}}"), Want: "expected name or path"},
		stagetest.BadConfig{Name: "rule without matcher", Config: in("searchRules: [{}]"), Want: "matches nothing"},
		stagetest.BadConfig{Name: "value matcher", Config: in("searchRules: [{valueMatcher: {}}]"), Want: "expected image or imageRepo"},
		stagetest.BadConfig{Name: "override", Config: in("overrides: [{image: a}]"), Want: "Expected NewImage to be non-empty"},
		stagetest.BadConfig{Name: "version", Config: in("minimumRequiredVersion: v1"), Want: "Must not have prefix 'v'"},
	)
}

// What stands in a Config document among the manifests is checked too, when the step runs.
func TestBadConfigDocument(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct{ doc, want string }{
		"strategy": {"searchRules: [{keyMatcher: {name: a}, updateStrategy: {entireString: {}}}]", "the manifests so far: Config: searchRules[0].updateStrategy.entireString: unknown update strategy"},
		"source":   {"sources: [{image: app}]", "sources[0]: has no path"},
		"option":   {"sources: [{image: app, path: a, buildkit: {x: y}}]", "sources[0].buildkit.x: unknown field"},
		"pack":     {"sources: [{image: app, path: a, pack: {}}]", `image app: builder "pack" is not supported`},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := w.run(stagetest.Case{Manifests: config + c.doc + "\n---\n" + deployment("app")})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error: %v, expected %q", err, c.want)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	w := newWorld(t)
	job := stagetest.NewJob(t, stagetest.Case{})
	step := stagetest.Bind(t, w.plugin(), in("destination: []\nsources:\n- {image: app, path: ., dcoker: {}}"))
	if err := step.(stages.Checker).Check(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	var warnings []string
	for _, e := range stagetest.Recorded(job).Events() {
		warnings = append(warnings, e.Message)
	}
	text := strings.Join(warnings, "\n")
	for _, want := range []string{
		"test.yaml:2:3: config.destination: unknown field, which kbld ignores (did you mean destinations?)",
		"test.yaml:4:27: config.sources[0].dcoker: unknown field, which kbld ignores (did you mean docker?)",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("warnings lack %q:\n%s", want, text)
		}
	}
	if requests := w.seen(); len(requests) > 0 {
		t.Errorf("Check asked the registry: %v", requests)
	}
}
