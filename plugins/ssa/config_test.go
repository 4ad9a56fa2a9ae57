package ssa

import (
	"testing"

	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

func TestBadConfig(t *testing.T) {
	stagetest.RunBad(t, Plugin(Deps{}),
		stagetest.BadConfig{Name: "unknown field", Config: "purge: true", Want: "test.yaml:1:1: purge: unknown field"},
		stagetest.BadConfig{Name: "conflicts", Config: "conflicts: ask", Want: "test.yaml:1:12: conflicts: "},
		stagetest.BadConfig{Name: "no time", Config: "waitTimeout: 0s", Want: "test.yaml:1:14: waitTimeout: expected a duration above zero"},
		stagetest.BadConfig{Name: "no manager", Config: `fieldManager: ""`, Want: "test.yaml:1:15: fieldManager: expected a name of 1 to 128 characters"},
		stagetest.BadConfig{Name: "no paths", Config: "driftIgnore: [{target: {kind: A}}]", Want: "driftIgnore[0]"},
		stagetest.BadConfig{Name: "path", Config: "driftIgnore: [{paths: [spec.replicas]}]", Want: `test.yaml:1:24: driftIgnore[0].paths[0]: "spec.replicas" is not a JSON pointer`},
		stagetest.BadConfig{Name: "pattern", Config: "driftIgnore: [{paths: [/a], target: {kind: '('}}]", Want: `driftIgnore[0].target.kind: "(" is not a regular expression`},
		stagetest.BadConfig{Name: "selector", Config: "driftIgnore: [{paths: [/a], target: {labelSelector: 'a b'}}]", Want: `driftIgnore[0].target.labelSelector: "a b" is not a selector`},
	)
}

// TestContract holds the plugin to what all plugins promise, as far as it can be tested on any of them.
func TestContract(t *testing.T) {
	p := newPlace(t)
	secret := "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: open-sesame-4711}\n"
	// What a deploy step tells of its first run is not what it tells of later ones.
	p.deploy("", configMap("one", "1")+secret)
	stagetest.Run(t, Plugin(p.deps), stagetest.Case{
		Name:      "objects",
		Config:    "waitTimeout: 1m",
		App:       p.app,
		Manifests: configMap("one", "1") + secret,
		Objects:   stagetest.Objects{Secrets: map[string]map[string]string{"s": {"password": "open-sesame-4711"}}},
	}, stagetest.Case{
		Name:      "refused",
		App:       stages.App{Name: "refused", Namespace: p.namespace},
		Manifests: "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: nonsense}\n",
		WantError: "service/s (namespace " + p.namespace + ") can't be applied: ",
	})
}
