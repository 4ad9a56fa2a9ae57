package kbld_test

import (
	"strings"
	"testing"

	"strake.dev/strake/stages/stagetest"
)

func TestConformance(t *testing.T) {
	w := newWorld(t)
	w.push("base:1", "base")
	w.push("other:1", "other")
	build := simple()
	build.Name = "source"
	fill := func(c stagetest.Case) stagetest.Case {
		c.Config = strings.ReplaceAll(c.Config, "HOST", w.host)
		c.Manifests = strings.ReplaceAll(c.Manifests, "HOST", w.host)
		for name, text := range c.Files {
			c.Files[name] = strings.ReplaceAll(text, "HOST", w.host)
		}
		return c
	}
	stagetest.Run(t, w.plugin(),
		stagetest.Case{Name: "no images", Manifests: "kind: X\napiVersion: v1\n", WantManifests: "---\napiVersion: v1\nkind: X\n"},
		stagetest.Case{Name: "no manifests", Files: map[string]string{"a/x.yml": "kind: X\napiVersion: v1\n", "readme.md": "# no\n"}, WantManifests: "---\napiVersion: v1\nkind: X\n"},
		stagetest.Case{
			Name: "paths and the stream", Config: "paths: [b.txt, '-']", Manifests: "kind: S\napiVersion: v1\n",
			Files:         map[string]string{"b.txt": "kind: B\napiVersion: v1\n"},
			WantManifests: "---\napiVersion: v1\nkind: B\n---\napiVersion: v1\nkind: S\n",
		},
		stagetest.Case{Name: "missing path", Config: "paths: [nope]", WantError: "nope: no such file or folder"},
		stagetest.Case{Name: "broken manifests", Manifests: "a: b: c\n", WantError: "the manifests so far: document 1:"},
		fill(build),
		fill(stagetest.Case{Name: "tag", Manifests: deployment("HOST/other:1")}),
		fill(stagetest.Case{Name: "unknown tag", Manifests: deployment("HOST/other:2"), WantError: "there is no", WantHint: "check the name and the tag"}),
	)
}
