package helm

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

const meta = "apiVersion: v2\nname: demo\nversion: 1.2.3\n"

// cluster is one whose facts are known.
type cluster struct{ version string }

func (c cluster) Version(context.Context) (string, error) { return c.version, nil }

func (c cluster) GroupVersions(context.Context) ([]string, error) {
	return []string{"only.example.com/v1"}, nil
}

func TestConformance(t *testing.T) {
	const header = "---\n# Source: demo/templates/a.yaml\n"
	stagetest.Run(t, Plugin(),
		stagetest.Case{
			Name:   "all inputs",
			Config: "path: chart\nname: shop\nkubernetesVersion: {}\nkubernetesAPIs: {}\nvaluesFrom: [{secretRef: {name: db}}, {configMapRef: {name: v}}, {path: v.yaml}, {downwardAPI: {items: [{name: who, fieldPath: metadata.name}]}}]",
			Files: map[string]string{
				"chart/Chart.yaml": meta, "v.yaml": "b: path\n", "other": "x",
				"chart/templates/a.yaml": "a: {{ .Values | toJson }}\nk: {{ .Capabilities.KubeVersion.Version }}\nh: {{ .Capabilities.APIVersions.Has \"only.example.com/v1\" }}\nr: {{ .Release.Name }} {{ .Release.Namespace }}\n",
			},
			Objects: stagetest.Objects{
				Secrets:    map[string]map[string]string{"db": {"v.yaml": "a: open-sesame\nb: overridden\n"}},
				ConfigMaps: map[string]map[string]string{"v": {"v.yaml": "b: overridden\nc: map\n"}},
			},
			Values:        map[string]string{"set.deep": "2"},
			Target:        cluster{"1.36.3"},
			WantManifests: header + `a: {"a":"open-sesame","b":"path","c":"map","set":{"deep":2},"who":"app"}` + "\nk: v1.36.3\nh: true\nr: shop default\n",
			Variants: []stagetest.Variant{
				{Name: "template", Change: func(c *stagetest.Case) { c.Files["chart/templates/b.yaml"] = "b: 1" }},
				{Name: "values file", Change: func(c *stagetest.Case) { c.Files["v.yaml"] = "b: 2" }},
				{Name: "secret", Change: func(c *stagetest.Case) { c.Objects.Secrets["db"]["v.yaml"] = "a: other-words" }},
				{Name: "config map", Change: func(c *stagetest.Case) { c.Objects.ConfigMaps["v"]["v.yaml"] = "c: 2" }},
				{Name: "set", Change: func(c *stagetest.Case) { c.Values["set.deep"] = "3" }},
				{Name: "version of the cluster", Change: func(c *stagetest.Case) { c.Target = cluster{"1.37.0"} }},
				{Name: "other file", Same: true, Change: func(c *stagetest.Case) { c.Files["other"] = "y" }},
			},
		},
		stagetest.Case{
			Name:      "manifests so far",
			Config:    "path: chart",
			Manifests: "a: 1\n",
			Files:     map[string]string{"chart/Chart.yaml": meta, "chart/templates/a.yaml": "a: 2\n"},
			Check: func(t testing.TB, job *stages.Job, _ stages.Result) {
				want := []string{`the manifests so far are dropped: a chart can take them only as values (valuesFrom: [{path: "-"}])`}
				if diff := cmp.Diff(want, stagetest.Recorded(job).Messages(stages.Warning)); diff != "" {
					t.Errorf("warnings differ (-want +got):\n%s", diff)
				}
			},
		},
		stagetest.Case{
			Name:      "secret in the message of a failure",
			Config:    "path: chart\nvaluesFrom: [{secretRef: {name: db}}]",
			Files:     map[string]string{"chart/Chart.yaml": meta, "chart/templates/a.yaml": "{{ fail (print \"bad \" .Values.a) }}"},
			Objects:   stagetest.Objects{Secrets: map[string]map[string]string{"db": {"v.yaml": "a: open-sesame\n"}}},
			WantError: "bad ***",
		},
		stagetest.Case{
			Name: "missing dependency", Config: "path: chart", WantError: "missing in charts/: db", WantHint: "helm dependency build",
			Files: map[string]string{"chart/Chart.yaml": meta + "dependencies: [{name: db, version: 1.0.0}]\n"},
		},
		stagetest.Case{Name: "no such folder", Config: "path: chart", WantError: "chart: chart: no such file or folder", WantHint: "counts from the App's folder"},
		stagetest.Case{
			Name: "values are a folder", Config: "path: c\nvaluesFrom: [{path: c}]", WantError: "test.yaml:2:14: valuesFrom[0]: c: is a folder, expected a file with values",
			Files: map[string]string{"c/Chart.yaml": meta},
		},
	)
}

func TestBadConfig(t *testing.T) {
	stagetest.RunBad(t, Plugin(),
		stagetest.BadConfig{Name: "typo", Config: "valueFrom: []", Want: "test.yaml:1:1: valueFrom: unknown field (did you mean valuesFrom?)"},
		stagetest.BadConfig{Name: "path out", Config: "path: ../x", Want: "test.yaml:1:7: path: ../x: leads out of the App's folder"},
		stagetest.BadConfig{Name: "name", Config: "name: Shop", Want: "test.yaml:1:7: name: release name \"Shop\""},
		stagetest.BadConfig{Name: "stream twice", Config: "valuesFrom: [{path: '-'}, {path: '-'}]", Want: "“-” is given twice"},
		stagetest.BadConfig{Name: "no source", Config: "valuesFrom: [{}]", Want: "expected exactly one of configMapRef, downwardAPI, path, secretRef, found none"},
	)
}

func TestCheckFindsWhatIsMissing(t *testing.T) {
	step := stagetest.Bind(t, Plugin(), "kubernetesVersion: {}\nvaluesFrom: [{secretRef: {name: none}}]")
	job := stagetest.NewJob(t, stagetest.Case{})
	job.Sources, job.Out = nil, nil
	if err := step.(stages.Checker).Check(t.Context(), job); !errors.Is(err, stages.ErrNoObject) {
		t.Errorf("expected an error that wraps ErrNoObject, found %v", err)
	}
}

func TestTimeLimitEndsALongTemplate(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	job := stagetest.NewJob(t, stagetest.Case{Files: map[string]string{
		"Chart.yaml": meta, "templates/a.yaml": "{{ range $i := until 1000000 }}{{ $x := sha256sum \"a\" }}{{ end }}",
	}})
	_, err := stagetest.Bind(t, Plugin(), "").Run(ctx, job)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("expected an error that wraps context.DeadlineExceeded, found %v", err)
	}
}
