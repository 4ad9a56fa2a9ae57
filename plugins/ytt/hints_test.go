package ytt

import (
	"strings"
	"testing"

	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

func TestHints(t *testing.T) {
	const data = "#@ load(\"@ytt:data\", \"data\")\n"
	const schema = "#@data/values-schema\n---\nnum: 1\n"
	tests := map[string]struct {
		template string
		config   string
		values   map[string]string
		want     string
	}{
		"undeclared value":   {template: data + "a: #@ data.values.x\n", want: "declare it in a document with"},
		"unknown value":      {template: schema, values: map[string]string{"nom": "1"}, want: "correct the name, or declare it"},
		"mark":               {template: "a: 1\n", config: "fileMarks: ['x:exclude=true']", want: "relative to the entry of paths"},
		"overlay":            {template: "#@ load(\"@ytt:overlay\", \"overlay\")\n#@overlay/match by=overlay.all\n---\n", want: "found nothing to change"},
		"comment":            {template: "#@ x = 1\n# y\na: 1\n", want: "a comment begins with"},
		"boolean key":        {template: "#@data/values-schema\n---\nn: 1\n", want: "as booleans"},
		"function":           {template: "#@ f = lambda: 1\na: #@ f\n", want: "call it"},
		"version":            {template: "#@ load(\"@ytt:version\", \"version\")\n#@ version.require_at_least(\"0.1.0\")\n", want: "build it with make"},
		"value that is odd":  {template: schema, values: map[string]string{"num": "[1"}, want: "in quotes"},
		"folder that is not": {template: "a: 1\n", config: "paths: [conf]", want: "which holds: a.yml"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			job := stagetest.NewJob(t, stagetest.Case{Files: map[string]string{"a.yml": test.template}, Values: test.values})
			_, err := stagetest.Bind(t, Plugin(), test.config).Run(t.Context(), job)
			if err == nil || !strings.Contains(stages.Hint(err), test.want) {
				t.Errorf("expected a hint with %q, found %q for: %v", test.want, stages.Hint(err), err)
			}
		})
	}
}
