package kustomize

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

func configMap(name string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\n"
}

func TestConformance(t *testing.T) {
	const config = "path: k"
	stagetest.Run(t, Plugin(),
		stagetest.Case{
			Name: "folder", Config: config,
			Files:         map[string]string{"k/kustomization.yaml": "resources: [a.yaml]\nnamePrefix: x-\n", "k/a.yaml": configMap("a")},
			WantManifests: configMap("x-a"),
			Variants: []stagetest.Variant{
				{Name: "resource", Change: func(c *stagetest.Case) { c.Files["k/a.yaml"] = configMap("b") }},
				{Name: "another folder, which might be a base", Change: func(c *stagetest.Case) { c.Files["base/b.yaml"] = configMap("b") }},
				{Name: "beside the App", Same: true, Change: func(c *stagetest.Case) { c.Beside["x"] = "y" }},
			},
		},
		stagetest.Case{
			Name: "manifests so far", Config: config,
			Manifests: configMap("stream") + "---\napiVersion: kbld.k14s.io/v1alpha1\nkind: Config\nsources: []\n",
			Files:     map[string]string{"k/kustomization.yaml": "# mine\nresources: [a.yaml]\nnamePrefix: x-\n", "k/a.yaml": configMap("a")},
			WantManifests: configMap("x-a") + "---\n" + configMap("x-stream") +
				"---\napiVersion: kbld.k14s.io/v1alpha1\nkind: Config\nsources: []\n",
		},
		stagetest.Case{
			Name: "manifests so far, a kustomization without resources", Config: config, Manifests: configMap("stream"),
			Files:         map[string]string{"k/kustomization.yaml": "namePrefix: x-\n"},
			WantManifests: configMap("x-stream"),
		},
		stagetest.Case{
			Name: "manifests so far, none", Config: config, Manifests: "---\n# nothing\n",
			Files:         map[string]string{"k/kustomization.yaml": "resources: [a.yaml]\n", "k/a.yaml": configMap("a")},
			WantManifests: configMap("a"),
		},
		stagetest.Case{
			Name: "an object twice", Config: config, Manifests: configMap("a"),
			Files:     map[string]string{"k/kustomization.yaml": "resources: [a.yaml]\n", "k/a.yaml": configMap("a")},
			WantError: "already registered id", WantHint: "list it once",
		},
		stagetest.Case{
			Name: "a file elsewhere in the App's folder", Config: config,
			Files:         map[string]string{"k/kustomization.yaml": "resources: [../a.yaml]\n", "a.yaml": configMap("a")},
			WantManifests: configMap("a"),
		},
		stagetest.Case{
			Name: "a file outside", Config: config,
			Files:     map[string]string{"k/kustomization.yaml": "resources: [../../../etc/passwd]\n"},
			WantError: "leads out of the App's folder", WantHint: "fetch entry",
		},
		stagetest.Case{
			Name: "chart", Config: config,
			Files:     map[string]string{"k/kustomization.yaml": "helmCharts: [{name: x}]\n"},
			WantError: "--enable-helm", WantHint: "helmTemplate",
		},
		stagetest.Case{
			Name: "program", Config: config,
			Files: map[string]string{
				"k/kustomization.yaml": "resources: [a.yaml]\ntransformers: [t.yaml]\n", "k/a.yaml": configMap("a"),
				"k/t.yaml": "apiVersion: example.com/v1\nkind: T\nmetadata:\n  name: t\n  annotations:\n    config.kubernetes.io/function: |\n      exec: {path: /bin/true}\n",
			},
			WantError: "external plugins disabled", WantHint: "would run programs",
		},
	)
}

func TestBadConfig(t *testing.T) {
	stagetest.RunBad(t, Plugin(),
		stagetest.BadConfig{Name: "nothing", Config: "{}", Want: "test.yaml:1:1: unsupported way to template: path is missing"},
		stagetest.BadConfig{Name: "path out", Config: "path: ../x", Want: "test.yaml:1:7: path: ../x: leads out of the App's folder"},
		stagetest.BadConfig{Name: "helm", Config: "path: x\nenableHelm: true", Want: "test.yaml:2:1: enableHelm: unknown field"},
	)
}

// Nothing is read from the network, whatever way a kustomization asks for it.
func TestRemoteIsRefused(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer server.Close()
	url := server.URL + "/x.yaml"
	builtin := "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: p}\npath: " + url + "\n"
	tests := []struct{ kustomization, want string }{
		{"resources: [" + url + "]", "kustomization.yaml:1:13: http://"},
		{"resources: ['HTTP://" + server.Listener.Addr().String() + "/x']", "is remote"},
		{"resources: [github.com/org/repo]", "github.com/org/repo is remote"},
		{"resources: ['git@host.invalid:org/repo']", "is remote"},
		{"resources: ['git::https://host.invalid/org/repo']", "is remote"},
		{"resources: ['file:///etc']", "is remote"},
		{"bases: ['ssh://user:sesame@host.invalid/org/repo']", "is remote"},
		{"components: ['https://host.invalid/org/repo']", "is remote"},
		{"resources: [a.yaml]\npatches: [{path: " + url + "}]", "is remote"},
		{"resources: [a.yaml]\npatchesStrategicMerge: [" + url + "]", "is remote"},
		{"configMapGenerator: [{name: a, files: ['key=" + url + "']}]", "is remote"},
		{"configMapGenerator: [{name: a, envs: ['" + url + "']}]", "is remote"},
		{"resources: [a.yaml]\nopenapi: {path: " + url + "}", "is remote"},
		{"resources: [a.yaml]\ncrds: [" + url + "]", "is remote"},
		{"resources: [a.yaml]\nreplacements: [{path: " + url + "}]", "is remote"},
		{"resources: [a.yaml]\ntransformers: [t.yaml]", "k/t.yaml:4:7: http://"},
		{"resources: [a.yaml]\ntransformers: [\"" + yamlInline(builtin) + "\"]", "is remote"},
		{"resources: [../base]", "base/kustomization.yaml:1:13: http://"},
	}
	for _, tt := range tests {
		text, want := tt.kustomization, tt.want
		job := stagetest.NewJob(t, stagetest.Case{Files: map[string]string{
			"k/kustomization.yaml": text, "k/a.yaml": configMap("a"), "k/t.yaml": builtin,
			"base/kustomization.yaml": "resources: [" + url + "]",
		}})
		_, err := stagetest.Bind(t, Plugin(), "path: k").Run(t.Context(), job)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: expected an error with %q, found %v", text, want, err)
		} else if !strings.Contains(stages.Hint(err), "fetch it") {
			t.Errorf("%s: expected a hint, found %q", text, stages.Hint(err))
		}
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("the server was asked %d times", n)
	}
}

// yamlInline is a text as it stands in double quotes.
func yamlInline(text string) string {
	return strings.NewReplacer("\n", `\n`, `"`, `\"`).Replace(text)
}

func FuzzDivide(f *testing.F) {
	for _, s := range []string{configMap("a") + "---\n" + configMap("b"), "a: b", "---\n---\n", "{", "- a", "kind: List\nitems: []"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		resources, others, err := divide(text)
		if err != nil {
			return
		}
		again, none, err := divide(resources)
		if err != nil || len(none) > 0 || string(again) != string(resources) {
			t.Fatalf("%q: dividing the resources again gives %q and %q, %v", text, again, none, err)
		}
		if again, _, err := divide(others); err != nil || len(again) > 0 {
			t.Fatalf("%q: there are resources among the others: %q, %v", text, again, err)
		}
	})
}

func FuzzRemote(f *testing.F) {
	f.Add([]byte("resources: [https://a]"))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("apiVersion: builtin\npath: x"))
	f.Fuzz(func(_ *testing.T, text []byte) { _ = checkLocal("kustomization.yaml", text) })
}
