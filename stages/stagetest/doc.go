// Package stagetest checks that a plugin keeps the contracts of package stages. Every plugin's tests
// call [Run] with cases of their own:
//
//	stagetest.Run(t, ytt.Plugin(), stagetest.Case{
//		Name:          "one template",
//		Config:        "paths: [config]",
//		Files:         map[string]string{"config/a.yml": "a: #@ 1 + 1\n"},
//		WantManifests: "a: 2\n",
//		Variants: []stagetest.Variant{{
//			Name:   "other template",
//			Change: func(c *stagetest.Case) { c.Files["config/a.yml"] = "a: 3\n" },
//		}},
//	})
//
// [NewJob], [Bind], [Objects] and [Recorder] are for the other tests of a plugin.
package stagetest
