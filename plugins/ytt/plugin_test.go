package ytt

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"carvel.dev/ytt/pkg/version"
	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

func TestBadConfig(t *testing.T) {
	stagetest.RunBad(t, Plugin(),
		stagetest.BadConfig{Name: "typo", Config: "path: [a]", Want: "test.yaml:1:1: path: unknown field (did you mean paths?)"},
		stagetest.BadConfig{Name: "type", Config: "paths: a", Want: "test.yaml:1:8: paths: expected a list"},
		stagetest.BadConfig{Name: "path out", Config: "paths:\n- ../x", Want: "test.yaml:2:3: paths[0]: ../x: leads out of the App's folder"},
		stagetest.BadConfig{Name: "absolute path", Config: "paths: [/etc]", Want: "expected a path relative"},
		stagetest.BadConfig{Name: "empty path", Config: "paths: ['']", Want: "paths[0]: is empty"},
		stagetest.BadConfig{Name: "stdin twice", Config: "paths: ['-', '-']", Want: "test.yaml:1:14: paths[1]: “-” is given twice"},
		stagetest.BadConfig{Name: "stdin as values too", Config: "paths: ['-']\nvaluesFrom: [{path: '-'}]", Want: "test.yaml:2:21: valuesFrom[0].path: “-” is given twice"},
		stagetest.BadConfig{Name: "stdin as values of itself", Config: "valuesFrom: [{path: '-'}]", Want: "test.yaml:1:21: valuesFrom[0].path: “-” can't be values here"},
		stagetest.BadConfig{Name: "no source", Config: "valuesFrom: [{}]", Want: "test.yaml:1:14: valuesFrom[0]: expected exactly one of configMapRef, downwardAPI, path, secretRef, found none"},
		stagetest.BadConfig{Name: "two sources", Config: "valuesFrom: [{path: a, secretRef: {name: b}}]", Want: "found path, secretRef"},
		stagetest.BadConfig{Name: "null source", Config: "valuesFrom: [{secretRef: }]", Want: "found none"},
		stagetest.BadConfig{Name: "no name", Config: "valuesFrom: [{secretRef: {}}]", Want: "valuesFrom[0].secretRef.name: missing"},
		stagetest.BadConfig{Name: "values path out", Config: "valuesFrom: [{path: a/../../b}]", Want: "valuesFrom[0].path: a/../../b: leads out"},
		stagetest.BadConfig{Name: "inline out", Config: "inline: {paths: {../a: x}}", Want: "test.yaml:1:18: inline.paths.../a: ../a: leads out"},
		stagetest.BadConfig{Name: "inline source", Config: "inline: {pathsFrom: [{}]}", Want: "expected exactly one of configMapRef, secretRef, found none"},
		stagetest.BadConfig{Name: "inline folder out", Config: "inline: {pathsFrom: [{secretRef: {name: a, directoryPath: ..}}]}", Want: "directoryPath: ..: leads out"},
		stagetest.BadConfig{Name: "mark form", Config: "fileMarks: [a.yml]", Want: `test.yaml:1:13: fileMarks[0]: file mark "a.yml": expected the form path:key=value`},
		stagetest.BadConfig{Name: "mark key", Config: "fileMarks: ['a:typ=data']", Want: `unknown key "typ" (did you mean type?)`},
		stagetest.BadConfig{Name: "mark value", Config: "fileMarks: ['a:type=yaml']", Want: `unknown value "yaml" of type`},
		stagetest.BadConfig{Name: "mark path", Config: "fileMarks: ['a:path=']", Want: `expected a path after "path="`},
		stagetest.BadConfig{Name: "no items", Config: "valuesFrom: [{downwardAPI: {}}]", Want: "downwardAPI.items: missing"},
		stagetest.BadConfig{Name: "item without name", Config: "valuesFrom: [{downwardAPI: {items: [{fieldPath: metadata.name}]}}]", Want: "items[0].name: missing"},
		stagetest.BadConfig{Name: "item with bad name", Config: "valuesFrom: [{downwardAPI: {items: [{name: a..b, fieldPath: metadata.name}]}}]", Want: "empty part between dots"},
		stagetest.BadConfig{Name: "item without value", Config: "valuesFrom: [{downwardAPI: {items: [{name: a}]}}]", Want: "expected exactly one of fieldPath"},
		stagetest.BadConfig{Name: "field path", Config: "valuesFrom: [{downwardAPI: {items: [{name: a, fieldPath: spec.paused}]}}]", Want: `test.yaml:1:58: valuesFrom[0].downwardAPI.items[0].fieldPath: field path "spec.paused": expected metadata.name`},
	)
}

func TestDownwardAPI(t *testing.T) {
	const config = `
paths: [c]
valuesFrom:
- downwardAPI:
    items:
    - {name: name, fieldPath: metadata.name}
    - {name: app.ns, fieldPath: "{.metadata.namespace}"}
    - {name: app.uid, fieldPath: .metadata.uid}
    - {name: label, fieldPath: "metadata.labels['app.kubernetes.io/name']"}
    - {name: note, fieldPath: metadata.annotations.a\.b}
    - {name: labels, fieldPath: metadata.labels}
    - {name: 'dotted\.key', fieldPath: metadata.name}
    - {name: kube, kubernetesVersion: {version: "1.30"}}
    - {name: kc, kappControllerVersion: {version: 0.51.0}}
    - {name: apis, kubernetesAPIs: {groupVersions: [apps/v1, v1]}}
`
	stagetest.Run(t, Plugin(), stagetest.Case{
		Name:   "all fields",
		Config: config,
		Files:  map[string]string{"c/t.yml": "#@ load(\"@ytt:data\", \"data\")\n--- #@ data.values\n", "c/s.yml": "#@data/values-schema\n---\n#@schema/type any=True\nname: ''\napp: {ns: '', uid: ''}\nlabel: ''\nnote: ''\n#@schema/type any=True\nlabels: {}\ndotted.key: ''\nkube: ''\nkc: ''\napis: ['']\n"},
		App: stages.App{
			Name: "shop", Namespace: "prod", UID: "u-1",
			Labels:      map[string]string{"app.kubernetes.io/name": "yes"},
			Annotations: map[string]string{"a.b": "1.20"},
		},
		WantManifests: "name: shop\napp:\n  ns: prod\n  uid: u-1\nlabel: \"yes\"\nnote: \"1.20\"\nlabels:\n  app.kubernetes.io/name: \"yes\"\n" +
			"dotted.key: shop\nkube: \"1.30\"\nkc: 0.51.0\napis:\n- apps/v1\n- v1\n",
		Variants: []stagetest.Variant{
			{Name: "label", Change: func(c *stagetest.Case) { c.App.Labels["x"] = "y" }},
			{Name: "annotation that isn't asked for", Same: true, Change: func(c *stagetest.Case) { c.App.Annotations["x"] = "y" }},
		},
	})
}

func TestCheckFindsAllMissingReferences(t *testing.T) {
	const config = `
inline: {pathsFrom: [{configMapRef: {name: nofiles}}]}
valuesFrom:
- secretRef: {name: nosecret}
- path: not/there/yet.yml
- downwardAPI: {items: [{name: a, fieldPath: "metadata.labels['nolabel']"}]}
`
	step := stagetest.Bind(t, Plugin(), config)
	job := stagetest.NewJob(t, stagetest.Case{})
	job.Sources, job.Out = nil, nil
	err := step.(stages.Checker).Check(t.Context(), job)
	if !errors.Is(err, stages.ErrNoObject) {
		t.Fatalf("expected an error that wraps ErrNoObject, found %v", err)
	}
	want := `test.yaml:2:22: inline.pathsFrom[0]: ConfigMap "nofiles": not found
test.yaml:4:3: valuesFrom[0]: Secret "nosecret": not found
test.yaml:6:3: valuesFrom[2]: a: the App has no key "nolabel" in its labels`
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("message differs (-want +got):\n%s", diff)
	}
	if hint := stages.Hint(err); !strings.Contains(hint, "add the ConfigMap to the App's file") {
		t.Errorf("expected a hint on the ConfigMap, found %q", hint)
	}
}

func TestRefusesWhatIsNoFile(t *testing.T) {
	tests := map[string]struct {
		config string
		link   string
		to     string
		want   string
	}{
		"link in a folder":       {"", "c/link.yml", "a.yml", "c/link.yml: is a symbolic link to a.yml, which ytt doesn't follow"},
		"link that is listed":    {"paths: [link.yml]", "link.yml", "c/a.yml", "link.yml: is a symbolic link"},
		"link to a folder":       {"paths: [d]", "d", "c", "d: is a symbolic link"},
		"link that leads out":    {"paths: [out]", "out", "/etc", "out: leads out of the App's folder"},
		"path through such link": {"paths: [out/passwd]", "out", "/etc", "out/passwd: leads out of the App's folder"},
		"values by a link":       {"paths: [c]\nvaluesFrom: [{path: out/passwd}]", "out", "/etc", "out/passwd: leads out of the App's folder"},
		"manifests too early":    {"paths: ['-']", "x", "c/a.yml", "there are no manifests yet"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			job := stagetest.NewJob(t, stagetest.Case{Files: map[string]string{"c/a.yml": "a: 1\n"}})
			if err := job.Sources.Root().Symlink(test.to, test.link); err != nil {
				t.Fatal(err)
			}
			_, err := stagetest.Bind(t, Plugin(), test.config).Run(t.Context(), job)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("expected an error with %q, found %v", test.want, err)
			}
		})
	}
}

func TestTimeLimitEndsALongTemplate(t *testing.T) {
	// It takes much longer than the time limit, and yet comes to an end: ytt goes on until it is done.
	const long = "#@ for i in range(3000000):\n#@   x = i\n#@ end\na: 1\n"
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := stagetest.Bind(t, Plugin(), "").Run(ctx, stagetest.NewJob(t, stagetest.Case{Files: map[string]string{"a.yml": long}}))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("expected an error that wraps context.DeadlineExceeded, found %v", err)
	}
}

func TestPanicIsAnError(t *testing.T) {
	in := Input{Files: []File{{Rel: "a.yml", Source: "file a.yml", Read: func() ([]byte, error) { panic("odd input") }}}}
	_, err := Render(t.Context(), in)
	if err == nil || err.Error() != "ytt panicked: odd input" || stages.Hint(err) == "" {
		t.Errorf("expected an error with a hint, found %v", err)
	}
}

func TestWarnsOfTextTemplates(t *testing.T) {
	job := stagetest.NewJob(t, stagetest.Case{Files: map[string]string{"note.txt": "x", "a.yml": "a: 1\n"}})
	if _, err := stagetest.Bind(t, Plugin(), "").Run(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	want := []string{"note.txt is a text template: its result is not part of the manifests"}
	if diff := cmp.Diff(want, stagetest.Recorded(job).Messages(stages.Warning)); diff != "" {
		t.Errorf("warnings differ (-want +got):\n%s", diff)
	}
}

func TestVersion(t *testing.T) {
	if v := Version(); !strings.HasPrefix(v, "v0.") && version.Version != "develop" {
		t.Errorf("expected a version such as v0.53.0, found %q", v)
	}
	if Plugin().Version == "" {
		t.Error("expected the plugin to have a version")
	}
}
