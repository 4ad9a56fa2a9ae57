package ssa

import (
	"testing"

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
