package content

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	fluxssa "github.com/fluxcd/pkg/ssa"
	"github.com/fluxcd/pkg/ssa/utils"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const objects = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {replicas: 2, template: {spec: {containers: [{name: web, image: "web:1"}]}}}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: b, namespace: shop}, data: {n: "1"}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop}, data: {yes: "no"}}
---
# nothing
---
{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
---
apiVersion: example.com/v1
kind: Thing
metadata: {name: it}
spec: {count: 3, ratio: 0.5, big: 12345678901}
`

func names(s *Set) []string {
	var all []string
	for _, o := range s.Objects {
		all = append(all, Name(o))
	}
	return all
}

// TestOrder checks the order, and that the text is the one that Kustomizer's library makes.
func TestOrder(t *testing.T) {
	s, err := Parse("objects", []byte(objects))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"Namespace/shop", "ConfigMap/shop/a", "ConfigMap/shop/b", "Deployment/shop/web", "Thing/it"}
	if diff := cmp.Diff(want, names(s)); diff != "" {
		t.Error(diff)
	}
	text, err := s.YAML()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := utils.ReadObjects(strings.NewReader(objects))
	if err != nil {
		t.Fatal(err)
	}
	sort.Sort(fluxssa.SortableUnstructureds(theirs))
	expected, err := utils.ObjectsToYAML(theirs)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(expected, string(text)); diff != "" {
		t.Error(diff)
	}
	again, err := Parse("text", text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, again); diff != "" {
		t.Error(diff)
	}
}

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const patch = `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
images: [{name: web, newTag: "2"}]
patches:
- path: patches/replicas.yaml
- target: {kind: ConfigMap}
  patch: |
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: all, annotations: {by: patch}}
`

func TestLoad(t *testing.T) {
	config := func(name string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\ndata: {}\n"
	}
	dir := write(t, map[string]string{
		"files/b.yaml": config("b"), "files/sub/a.yml": config("a"), "files/notes.txt": "no: manifest",
		"files/kustomization.yaml":   "resources: [b.yaml]\n",
		"overlay/kustomization.yaml": "namePrefix: over-\nresources: [../files]\n",
		"patch.yaml":                 patch, "patches/replicas.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec: {replicas: 7}\n",
	})
	s, err := Load(t.Context(), Inputs{
		Files: []string{dir + "/files", "-"}, Kustomize: dir + "/overlay", Streams: []Stream{{"stream", []byte(config("c"))}},
		Stdin: strings.NewReader(objects), Patches: []string{dir + "/patch.yaml"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"Namespace/shop", "ConfigMap/a", "ConfigMap/b", "ConfigMap/c", "ConfigMap/over-b", "ConfigMap/shop/a", "ConfigMap/shop/b",
		"Deployment/shop/web", "Thing/it",
	}
	if diff := cmp.Diff(want, names(s)); diff != "" {
		t.Error(diff)
	}
	for _, o := range s.Objects {
		if o.GetKind() == "ConfigMap" && o.GetAnnotations()["by"] != "patch" {
			t.Errorf("%s isn't patched", Name(o))
		}
		if o.GetKind() == "Deployment" {
			n, _, _ := unstructured.NestedInt64(o.Object, "spec", "replicas")
			text, err := (&Set{Objects: []*unstructured.Unstructured{o}}).YAML()
			if err != nil || n != 7 || !strings.Contains(string(text), "web:2") {
				t.Errorf("%d replicas, %v:\n%s", n, err, text)
			}
		}
	}
}

// TestBadInput checks that what can't be used is refused by its place.
func TestBadInput(t *testing.T) {
	good := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
	dir := write(t, map[string]string{
		"values.yaml": good + "---\n# values\nreplicas: 3\n", "bool.yaml": strings.Replace(good, "name: a", "name: no", 1),
		"broken.yaml": good + "---\na: [\n", "text.yaml": "just text\n", "label.yaml": strings.Replace(good, "name: a", "name: a, labels: {n: 1}", 1),
		"twice.yaml": good + "---\n" + good, "empty/.keep": "", "k/kustomization.yaml": "resources: [none.yaml]\n",
		"nopatch.yaml": "kind: Kustomization\n", "resources.yaml": "resources: [a.yaml]\npatches: [{patch: x}]\n",
		"misspelt.yaml": "patchs: []\n", "good.yaml": good,
	})
	for name, c := range map[string]struct {
		in   Inputs
		want string
	}{
		"no object":     {Inputs{Files: []string{"values.yaml"}}, "values.yaml:6: expected a Kubernetes object with apiVersion"},
		"bool":          {Inputs{Files: []string{"bool.yaml"}}, "bool.yaml:1: metadata.name: expected a text; put numbers, yes, no, true and false in quotes"},
		"broken":        {Inputs{Files: []string{"broken.yaml"}}, "broken.yaml:5: "},
		"text":          {Inputs{Files: []string{"text.yaml"}}, "text.yaml:1: expected a Kubernetes object"},
		"label":         {Inputs{Files: []string{"label.yaml"}}, "label.yaml:1: ConfigMap/a: metadata.labels: expected texts only"},
		"twice":         {Inputs{Files: []string{"twice.yaml"}}, "ConfigMap/a is given twice"},
		"missing":       {Inputs{Files: []string{"none.yaml"}}, "none.yaml: no such file"},
		"no stdin":      {Inputs{Files: []string{"-"}}, "there is no standard input"},
		"no overlay":    {Inputs{Kustomize: "empty"}, "there is no kustomization.yaml"},
		"bad overlay":   {Inputs{Kustomize: "k"}, "none.yaml"},
		"no patch":      {Inputs{Files: []string{"good.yaml"}, Patches: []string{"nopatch.yaml"}}, "nopatch.yaml: found no patches"},
		"resources":     {Inputs{Files: []string{"good.yaml"}, Patches: []string{"resources.yaml"}}, "resources.yaml: resources: not possible in a patch file"},
		"misspelt":      {Inputs{Files: []string{"good.yaml"}, Patches: []string{"misspelt.yaml"}}, `misspelt.yaml: `},
		"missing patch": {Inputs{Files: []string{"good.yaml"}, Patches: []string{"none.yaml"}}, "none.yaml: no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(dir)
			if _, err := Load(t.Context(), c.in); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("expected %q, found %v", c.want, err)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Load(ctx, Inputs{Files: []string{dir}}); err == nil {
		t.Error("went on after its context had ended")
	}
}

// odd has values that are easily written otherwise than they are read.
const odd = `apiVersion: v1
kind: ConfigMap
metadata: {name: odd}
texts: ["on", "yes", "~", "null", "1e3", "0x10", "0o7", "012", "1_000", "2001-01-01", " a", "a ", "a: b", "a #b", "- a", "=", "<<", "!t", "&a", "*a", "%a", "@a", "\ta", "",
  "a\nb", "a\nb\n", "\n", "ü…🙂", "\u0000\u001b\u2028\ufeff", "'", "\"", "\\", "<a&b>", ".5", "+1", "-0", "0.10", "Infinity", ".inf", ".nan",
  "a very long text that is much wider than eighty columns, so that whoever writes it might be tempted to fold it into several lines"]
numbers: [0, -1, 1.5, 0.1, 1e21, 1e-7, 12345678901234567, -0.0, 3.0, 9007199254740993, 1e2]
others: [true, false, null, [], {}, [[]], {"1": 2, "true": 3, "": 4, "a b": 5, "z10": 6, "z9": 7, "Z": 8}]
`

// FuzzParse checks that any stream either is refused, or has a text that gives the same set.
func FuzzParse(f *testing.F) {
	f.Add([]byte(objects))
	f.Add([]byte("---\n---\n{}\n--- # x\napiVersion: v1\nkind: List\nitems: [1, {}]\n"))
	f.Add([]byte(odd))
	f.Fuzz(func(t *testing.T, stream []byte) {
		s, err := Parse("fuzz", stream)
		if err != nil {
			return
		}
		text, err := s.YAML()
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range s.Objects {
			ours, err := marshal(o.Object)
			if err != nil {
				t.Fatal(err)
			}
			theirs, err := yaml.Marshal(o.Object)
			// Theirs makes a space of the next-line character.
			if err != nil || !bytes.Equal(ours, theirs) && !bytes.Contains(ours, []byte("\\N")) {
				t.Errorf("%v\n%s", err, cmp.Diff(string(theirs), string(ours)))
			}
		}
		again, err := Parse("again", text)
		if err != nil {
			t.Fatalf("%v:\n%s", err, text)
		}
		if diff := cmp.Diff(s, again); diff != "" {
			t.Error(diff)
		}
	})
}

// BenchmarkParse reads and writes 2,000 objects.
func BenchmarkParse(b *testing.B) {
	var stream strings.Builder
	for n := range 2000 {
		fmt.Fprintf(&stream, "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d%d, labels: {app: web}}\nspec: {replicas: 2, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: \"web:1\"}]}}}\n", n)
	}
	for b.Loop() {
		s, err := Parse("objects", []byte(stream.String()))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.YAML(); err != nil {
			b.Fatal(err)
		}
	}
}
