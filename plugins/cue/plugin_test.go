package cue

import (
	"testing"

	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

func TestConformance(t *testing.T) {
	stagetest.Run(t, Plugin(),
		stagetest.Case{
			Name:   "all inputs",
			Config: "paths: [app]\ninputExpression: 'in:'\nvaluesFrom: [{secretRef: {name: db}}, {configMapRef: {name: v}}, {path: v.json}, {downwardAPI: {items: [{name: who, fieldPath: metadata.name}]}}]",
			Files: map[string]string{
				"app/app.cue": "package app\nin: {a: string, b: string, c: string, who: string, count: int}\n", "v.json": `{"b": "path"}`,
			},
			Objects: stagetest.Objects{
				Secrets:    map[string]map[string]string{"db": {"v.yaml": "a: open-sesame\n"}},
				ConfigMaps: map[string]map[string]string{"v": {"v.yaml": "c: map\n"}},
			},
			Values:        map[string]string{"count": "2"},
			WantManifests: "in:\n  a: open-sesame\n  b: path\n  c: map\n  who: app\n  count: 2\n",
			Variants: []stagetest.Variant{
				{Name: "package", Change: func(c *stagetest.Case) { c.Files["app/b.cue"] = "package app\n" }},
				{Name: "imported", Change: func(c *stagetest.Case) { c.Files["lib/b.cue"] = "package lib\n" }},
				{Name: "secret", Change: func(c *stagetest.Case) { c.Objects.Secrets["db"]["v.yaml"] = "a: other-words" }},
				{Name: "config map", Change: func(c *stagetest.Case) { c.Objects.ConfigMaps["v"]["v.yaml"] = "c: z" }},
				{Name: "name", Change: func(c *stagetest.Case) { c.App.Name = "shop" }},
				{Name: "set", Change: func(c *stagetest.Case) { c.Values["count"] = "3" }},
				{Name: "label", Same: true, Change: func(c *stagetest.Case) { c.App.Labels["x"] = "y" }},
			},
		},
		stagetest.Case{
			Name: "manifests so far", Manifests: "a: 1\n", Files: map[string]string{"a.cue": "a: 1"},
			WantError: "can't go on from the manifests so far", WantHint: "before the other template steps",
		},
		stagetest.Case{
			Name: "secret that conflicts", Files: map[string]string{"a.cue": "package a\na: \"x\""},
			Config:    "valuesFrom: [{secretRef: {name: db}}]",
			Objects:   stagetest.Objects{Secrets: map[string]map[string]string{"db": {"v.yaml": "a: open-sesame\n"}}},
			WantError: "conflicting values", WantHint: "say different things",
		},
		stagetest.Case{
			Name: "key of another kind", Files: map[string]string{"a.cue": "package a\na: \"x\""},
			Config:    "valuesFrom: [{configMapRef: {name: v}}]",
			Objects:   stagetest.Objects{ConfigMaps: map[string]map[string]string{"v": {"values": "a: 1\n"}}},
			WantError: "ConfigMap v, values: expected a name that ends in .yaml, .yml, .json or .cue",
		},
		stagetest.Case{
			Name: "module that isn't there", Files: map[string]string{
				"cue.mod/module.cue": "module: \"example.com/a@v0\"\nlanguage: version: \"v0.15.0\"\ndeps: \"example.com/b@v0\": v: \"v0.1.0\"\n",
				"a.cue":              "package a\nimport \"example.com/b\"\nx: b.x\n",
			},
			WantError: "no registry is asked", WantHint: "cue.mod",
		},
	)
}

func TestBadConfig(t *testing.T) {
	stagetest.RunBad(t, Plugin(),
		stagetest.BadConfig{Name: "typo", Config: "path: [a]", Want: "test.yaml:1:1: path: unknown field (did you mean paths?)"},
		stagetest.BadConfig{Name: "path out", Config: "paths: [../x]", Want: "test.yaml:1:9: paths[0]: ../x: leads out of the App's folder"},
		stagetest.BadConfig{Name: "stream", Config: "valuesFrom: [{path: '-'}]", Want: "test.yaml:1:21: valuesFrom[0].path: “-” can't be values of cue"},
		stagetest.BadConfig{Name: "input", Config: "inputExpression: 'a b'", Want: "test.yaml:1:18: inputExpression: \"a b\": expected an expression"},
		stagetest.BadConfig{Name: "output", Config: "outputExpression: 'a +'", Want: "test.yaml:1:19: outputExpression: \"a +\": expected operand"},
	)
}

func TestLinksDontLeadOut(t *testing.T) {
	job := stagetest.NewJob(t, stagetest.Case{Files: map[string]string{"a.cue": "a: 1"}})
	if err := job.Sources.Root().Symlink("/etc", "out"); err != nil {
		t.Fatal(err)
	}
	if _, err := stagetest.Bind(t, Plugin(), "paths: [a.cue]\nvaluesFrom: [{path: out/hostname}]").Run(t.Context(), job); err == nil {
		t.Error("expected an error for values behind a link that leads out")
	}
	if _, err := stagetest.Bind(t, Plugin(), "paths: [out]").Run(t.Context(), job); err == nil {
		t.Error("expected an error for a package behind a link that leads out")
	}
}

var _ stages.Keyer = (*step)(nil)

func FuzzLabels(f *testing.F) {
	for _, s := range []string{"a:", `"a": b:`, "strings.ToLower(x)", "a: {", "[string]:", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		labels, err := parseLabels(text)
		if err == nil && len(labels) == 0 {
			t.Fatalf("%q: no labels and no error", text)
		}
	})
}
