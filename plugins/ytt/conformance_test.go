package ytt

import (
	"testing"

	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

func TestConformance(t *testing.T) {
	const template = "#@ load(\"@ytt:data\", \"data\")\na: #@ data.values.a\n"
	const schema = "#@data/values-schema\n---\na: x\n"
	stagetest.Run(t, Plugin(),
		stagetest.Case{
			Name:          "whole folder",
			Files:         map[string]string{"a.yml": "a: #@ 1 + 1\n", "data/readme.md": "x"},
			WantManifests: "a: 2\n",
			Variants: []stagetest.Variant{
				{Name: "template", Change: func(c *stagetest.Case) { c.Files["a.yml"] = "a: 3\n" }},
				{Name: "data", Change: func(c *stagetest.Case) { c.Files["data/readme.md"] = "y" }},
				{Name: "beside the App", Same: true, Change: func(c *stagetest.Case) { c.Beside["x"] = "y" }},
			},
		},
		stagetest.Case{
			Name:   "all inputs",
			Config: "paths: [config]\ninline: {paths: {in.yml: 'in: line'}, pathsFrom: [{configMapRef: {name: files, directoryPath: d}}]}\nfileMarks: ['x.yml:exclude=true']\nvaluesFrom: [{secretRef: {name: db}}, {configMapRef: {name: values}}, {path: values.yml}, {downwardAPI: {items: [{name: who, fieldPath: metadata.name}]}}]",
			Files: map[string]string{
				"config/t.yml":      template + "b: #@ data.values.b\nc: #@ data.values.c\nwho: #@ data.values.who\n",
				"config/schema.yml": schema + "b: x\nc: x\nwho: x\nset: 1\n",
				"config/x.yml":      "excluded: true",
				"values.yml":        "b: from path\n",
				"other":             "not read",
			},
			Objects: stagetest.Objects{
				Secrets:    map[string]map[string]string{"db": {"v.yml": "a: open-sesame\nb: overridden\n"}},
				ConfigMaps: map[string]map[string]string{"values": {"v.yml": "b: overridden too\nc: from map\n"}, "files": {"f.yml": "from: map"}},
			},
			App:           stages.App{Name: "shop"},
			Values:        map[string]string{"set": "2"},
			WantManifests: "a: open-sesame\nb: from path\nc: from map\nwho: shop\n---\nfrom: map\n---\nin: line\n",
			Variants: []stagetest.Variant{
				{Name: "file of paths", Change: func(c *stagetest.Case) { c.Files["config/new.yml"] = "n: 1\n" }},
				{Name: "values file", Change: func(c *stagetest.Case) { c.Files["values.yml"] = "b: 2\n" }},
				{Name: "secret", Change: func(c *stagetest.Case) { c.Objects.Secrets["db"]["v.yml"] = "a: other-words\n" }},
				{Name: "config map", Change: func(c *stagetest.Case) { c.Objects.ConfigMaps["values"]["v.yml"] = "c: z\n" }},
				{Name: "inline file of a config map", Change: func(c *stagetest.Case) { c.Objects.ConfigMaps["files"]["f.yml"] = "g: 1" }},
				{Name: "name of the App", Change: func(c *stagetest.Case) { c.App.Name = "market" }},
				{Name: "set", Change: func(c *stagetest.Case) { c.Values["set"] = "3" }},
				{Name: "label that isn't asked for", Same: true, Change: func(c *stagetest.Case) { c.App.Labels["x"] = "y" }},
				{Name: "file outside of paths", Same: true, Change: func(c *stagetest.Case) { c.Files["other"] = "changed" }},
				{Name: "object that isn't asked for", Same: true, Change: func(c *stagetest.Case) {
					c.Objects.ConfigMaps["more"] = map[string]string{"k": "v"}
				}},
			},
		},
		stagetest.Case{
			Name:      "manifests so far",
			Config:    "valuesFrom: [{path: values.yml}]",
			Manifests: schema + "---\n" + template,
			Files:     map[string]string{"values.yml": "a: y\n", "not-read.yml": "n: 1\n"},
			// A stream can't mix data values with other documents.
			WantError: "struct has no .a field",
			WantHint:  "#@data/values-schema",
		},
		stagetest.Case{
			Name:  "nothing to print",
			Files: map[string]string{"a.yml": "---\n"},
			Check: func(t testing.TB, _ *stages.Job, r stages.Result) {
				if r.Manifests == nil || len(r.Manifests) > 0 {
					t.Errorf("expected empty manifests that are not nil, found %q", r.Manifests)
				}
			},
		},
		stagetest.Case{
			Name:      "secret of the wrong type",
			Config:    "valuesFrom: [{secretRef: {name: db}}]",
			Files:     map[string]string{"schema.yml": "#@data/values-schema\n---\nport: 1\n"},
			Objects:   stagetest.Objects{Secrets: map[string]map[string]string{"db": {"v.yml": "port: open-sesame\n"}}},
			WantError: "found: string",
		},
		stagetest.Case{
			Name:      "secret in the message of a failure",
			Config:    "valuesFrom: [{secretRef: {name: db}}]",
			Files:     map[string]string{"schema.yml": schema, "t.yml": "#@ load(\"@ytt:data\", \"data\")\n#@ load(\"@ytt:assert\", \"assert\")\na: #@ assert.fail(\"bad \" + data.values.a)\n"},
			Objects:   stagetest.Objects{Secrets: map[string]map[string]string{"db": {"v.yml": "a: open-sesame\n"}}},
			WantError: "fail: bad ***",
		},
	)
}
