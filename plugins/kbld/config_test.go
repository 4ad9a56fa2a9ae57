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
	own := func(options string) string { return sources(", buildkit: {" + options + "}") }
	stagetest.RunBad(t, newWorld(t).plugin(),
		stagetest.BadConfig{Name: "address", Config: "buildkit: {address: 'unics:///x'}", Want: `test.yaml:1:21: buildkit.address: BuildKit address "unics:///x": expected it to begin with one of unix://`},
		stagetest.BadConfig{Name: "address without scheme", Config: "buildkit: {address: /run/x.sock}", Want: "(for example unix:///run/buildkit/buildkitd.sock)"},
		stagetest.BadConfig{Name: "address without port", Config: "buildkit: {address: 'tcp://host'}", Want: "expected something like tcp://"},
		stagetest.BadConfig{Name: "one of several addresses", Config: "buildkit: {addresses: ['unix:///x', 'tcp://host']}", Want: `test.yaml:1:37: buildkit.addresses[1]: BuildKit address "tcp://host": expected something like tcp://`},
		stagetest.BadConfig{Name: "address and pods", Config: "buildkit: {address: 'unix:///x', pods: {}}", Want: "buildkit: expected one of address, addresses and pods"},
		stagetest.BadConfig{Name: "selector", Config: "buildkit: {pods: {selector: 'a in b'}}", Want: `buildkit.pods.selector: label selector "a in b": `},
		stagetest.BadConfig{Name: "port of pods", Config: "buildkit: {pods: {port: 70000}}", Want: "buildkit.pods.port: expected a number from 1 to 65535, found 70000"},
		stagetest.BadConfig{Name: "TLS without Secret", Config: "buildkit: {tls: {serverName: x}}", Want: "buildkit.tls.secretRef"},
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
		stagetest.BadConfig{Name: "platform twice", Config: own("platforms: [linux/arm64, linux/arm64/v8]"), Want: `test.yaml:3:65: config.sources[0].buildkit.platforms[1]: platform "linux/arm64/v8" is given twice`},
		stagetest.BadConfig{Name: "own Dockerfile leaves", Config: own("dockerfile: ../../D"), Want: "test.yaml:3:52: config.sources[0].buildkit.dockerfile: ../D: leads out of the App's folder"},
		stagetest.BadConfig{Name: "own absolute Dockerfile", Config: own("dockerfile: /D"), Want: "buildkit.dockerfile: /D: expected a path relative to the source's path"},
		stagetest.BadConfig{Name: "context leaves", Config: own("contexts: {base: ../../lib}"), Want: "test.yaml:3:57: config.sources[0].buildkit.contexts.base: context base: ../lib: leads out of the App's folder"},
		stagetest.BadConfig{Name: "context is absolute", Config: own("contexts: {base: /lib}"), Want: "context base: /lib: expected a path relative to the source's path"},
		stagetest.BadConfig{Name: "context is empty", Config: own("contexts: {base: ''}"), Want: "context base: is empty"},
		stagetest.BadConfig{Name: "context's name", Config: own("contexts: {Base: lib}"), Want: `context "Base": expected a name in lower case`},
		stagetest.BadConfig{Name: "context twice", Config: own("contexts: {'alpine:latest': lib, docker.io/library/alpine: lib}"), Want: "context alpine is given twice"},
		stagetest.BadConfig{Name: "context's scheme", Config: own("contexts: {base: 'docker-images://x'}"), Want: "the scheme docker-images is not supported (did you mean docker-image?)"},
		stagetest.BadConfig{Name: "context's image", Config: own("contexts: {base: 'docker-image://A B'}"), Want: "expected docker-image:// and the reference of an image"},
		stagetest.BadConfig{Name: "layout without digest", Config: own("contexts: {base: 'oci-layout://l'}"), Want: "oci-layout://l: expected oci-layout://FOLDER@sha256:DIGEST or oci-layout://FOLDER:TAG"},
		stagetest.BadConfig{Name: "layout leaves", Config: own("contexts: {base: 'oci-layout://../../l:v1'}"), Want: "../l: leads out of the App's folder"},
		stagetest.BadConfig{Name: "secret without id", Config: own("secrets: [{env: A}]"), Want: "test.yaml:3:50: config.sources[0].buildkit.secrets[0].id: missing, but required"},
		stagetest.BadConfig{Name: "secret from nowhere", Config: own("secrets: [{id: a}]"), Want: "secrets[0]: secret a: expected exactly one of env, file and secretRef"},
		stagetest.BadConfig{Name: "secret from two places", Config: own("secrets: [{id: a, env: A, file: b}]"), Want: "expected exactly one of env, file and secretRef"},
		stagetest.BadConfig{Name: "secret twice", Config: own("secrets: [{id: a, env: A}, {id: a, file: b}]"), Want: "test.yaml:3:67: config.sources[0].buildkit.secrets[1]: secret a is given twice"},
		stagetest.BadConfig{Name: "secret's variable", Config: own("secrets: [{id: a, env: A-B}]"), Want: "secrets[0].env: expected the name of an environment variable"},
		stagetest.BadConfig{Name: "secret's key", Config: own("secrets: [{id: a, secretRef: {name: s}}]"), Want: "secrets[0].secretRef.key: missing, but required"},
		stagetest.BadConfig{Name: "secret's source", Config: own("secrets: [{id: a, envs: A}]"), Want: "secrets[0].envs: unknown field (did you mean env?)"},
		stagetest.BadConfig{Name: "ssh twice", Config: own("ssh: [{}, {id: default}]"), Want: "ssh[1]: ssh default is given twice"},
		stagetest.BadConfig{Name: "ssh without a path", Config: own("ssh: [{paths: ['']}]"), Want: "ssh[0].paths[0]: is empty"},
		stagetest.BadConfig{Name: "cache's type", Config: own("cacheTo: [{type: registrie, ref: x}]"), Want: `cacheTo[0]: cache type "registrie" is not supported (did you mean registry?)`},
		stagetest.BadConfig{Name: "cache without type", Config: own("cacheFrom: [{ref: x}]"), Want: "cacheFrom[0]: has no type: expected one of azblob, gha, inline, local, registry, s3"},
		stagetest.BadConfig{Name: "cache without ref", Config: own("cacheFrom: [{type: registry}]"), Want: "cache type registry: ref is missing"},
		stagetest.BadConfig{Name: "cache's attribute", Config: own("cacheTo: [{type: gha, scoop: x}]"), Want: `cache type gha: unknown attribute "scoop" (did you mean scope?)`},
		stagetest.BadConfig{Name: "cache from inline", Config: own("cacheFrom: [type=inline]"), Want: "cache type inline is for cacheTo only"},
		stagetest.BadConfig{Name: "cache's short form", Config: own("cacheTo: ['type=']"), Want: "expected the reference of an image, or the form type=registry,ref=REFERENCE"},
		stagetest.BadConfig{Name: "cache's reference", Config: own("cacheTo: ['type=registry,ref=A B']"), Want: `ref "A B" is not the reference of an image`},
		stagetest.BadConfig{Name: "annotation's place", Config: own("annotations: {'indx:a': b}"), Want: `"indx" is not supported before the colon (expected manifest or index)`},
		stagetest.BadConfig{Name: "provenance", Config: own("attest: {provenance: full}"), Want: `buildkit.attest.provenance: expected min, max, true or false, found "full"`},
		stagetest.BadConfig{Name: "sbom", Config: own("attest: {sbom: 'A B'}"), Want: `attest.sbom: expected true, false or the image of a generator, found "A B"`},
		stagetest.BadConfig{Name: "network", Config: own("network: bridge"), Want: `test.yaml:3:49: config.sources[0].buildkit.network: network "bridge" is not supported (known: default, none, host)`},
		stagetest.BadConfig{Name: "entitlement", Config: own("entitlements: [network.hosts]"), Want: `entitlements[0]: entitlement "network.hosts" is not supported (did you mean network.host?)`},
		stagetest.BadConfig{Name: "host", Config: own("addHosts: [a=b]"), Want: `addHosts[0]: host "a=b": expected the form NAME=IP`},
		stagetest.BadConfig{Name: "shm size", Config: own("shmSize: 64x"), Want: `shmSize: size "64x": expected a number of bytes with a unit, such as 64m`},
		stagetest.BadConfig{Name: "shm size is a number", Config: own("shmSize: 64"), Want: `put it in quotes: "64"`},
		stagetest.BadConfig{Name: "ulimit", Config: own("ulimits: [nofile]"), Want: `ulimits[0]: ulimit "nofile": expected the form NAME=SOFT[:HARD], such as nofile=1024:4096`},
		stagetest.BadConfig{Name: "control group", Config: own("cgroupParent: ''"), Want: "cgroupParent: is empty"},
		stagetest.BadConfig{Name: "stage without cache", Config: own("noCacheFilter: ['']"), Want: "noCacheFilter[0]: is empty: expected the name of a stage"},
		stagetest.BadConfig{Name: "output to nowhere", Config: own("output: {}"), Want: "buildkit.output: expected ociLayout, tar or both"},
		stagetest.BadConfig{Name: "outputs to one place", Config: own("output: {tar: a, ociLayout: a}"), Want: "output.tar: is the same path as ociLayout"},
		stagetest.BadConfig{Name: "credentials", Config: "secretRefs: [{}]", Want: "secretRefs[0]"},
		stagetest.BadConfig{Name: "two builders", Config: sources(", buildkit: {}, docker: {}"), Want: "cannot be combined with another builder"},
		stagetest.BadConfig{Name: "pack and BuildKit", Config: sources(", buildkit: {}, pack: {}"), Want: "cannot be combined with another builder"},
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
		"outside":  {"sources: [{image: app, path: a, buildkit: {secrets: [{id: s, file: ../x}]}}]", "sources[0]: ../x: leads out of the folder of the App's file"},
		"absolute": {"sources: [{image: app, path: a, docker: {buildx: {rawOptions: ['--cache-to=type=local,dest=/x']}}}]", "sources[0]: /x: leads out of the folder"},
		"home":     {"sources: [{image: app, path: a, buildkit: {ssh: [{paths: [~/.ssh/id]}]}}]", "sources[0]: ~/.ssh/id: leads out of the folder"},
		"output":   {"sources: [{image: app, path: a, buildkit: {output: {tar: ../o.tar}}}]", "sources[0]: ../o.tar: leads out of the folder"},
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
