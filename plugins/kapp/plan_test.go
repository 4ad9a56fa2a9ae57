package kapp

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"strake.dev/strake/stages"
)

// TestPlanFresh plans an app of which nothing is there, not even its namespace and its types.
func TestPlanFresh(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	home := p.namespace
	group := home + ".example.com"
	p.app.Namespace = home + "-own"
	began := time.Now()
	changes := p.plan("", `
apiVersion: v1
kind: Namespace
metadata: {name: `+p.app.Namespace+`}
---
apiVersion: v1
kind: Secret
metadata: {name: db}
stringData: {password: open-sesame}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.`+group+`}
spec:
  group: `+group+`
  scope: Namespaced
  names: {kind: Gadget, plural: gadgets, singular: gadget}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
---
apiVersion: `+group+`/v1
kind: Gadget
metadata: {name: g}
`+deployment("web", "busybox", sleep))
	var got []string
	for _, c := range changes {
		got = append(got, c.Op+" "+c.Kind+" "+c.Namespace+"/"+c.Name+": "+c.Reason)
		if strings.Contains(c.Diff, "open-sesame") || strings.Contains(c.Diff, "\x1b") {
			t.Errorf("diff shows a secret or escapes:\n%s", c.Diff)
		}
		if !strings.Contains(c.Diff, "+ ") {
			t.Errorf("%s %s: no diff", c.Kind, c.Name)
		}
	}
	want := []string{
		"create CustomResourceDefinition /gadgets." + group + ": not in the cluster",
		"create Deployment " + p.app.Namespace + "/web: not in the cluster",
		"create Gadget " + p.app.Namespace + "/g: not in the cluster",
		"create Namespace /" + p.app.Namespace + ": not in the cluster",
		"create Secret " + p.app.Namespace + "/db: not in the cluster",
	}
	if diff := cmp.Diff(want, sorted(got)); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	if w := p.writes(began); len(w) > 0 {
		t.Errorf("plan wrote: %v", w)
	}
}

// TestOwnNamespace deploys an app whose record lies in a namespace that the app itself brings.
func TestOwnNamespace(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.app.Namespace = p.namespace + "-own"
	p.removeLater(p.app.Namespace)
	manifests := "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: " + p.app.Namespace + ", labels: {team: a}}\n" + configMap("cm", "1")
	p.deploy("", manifests)
	result, _, err := p.run("", manifests)
	if err != nil || !strings.HasPrefix(result.Skipped, "nothing to apply: 2 objects") {
		t.Errorf("second deploy: %+v, %v", result, err)
	}
	p.delete()
	if _, err := p.core.CoreV1().Namespaces().Get(t.Context(), p.app.Namespace, metav1.GetOptions{}); err == nil {
		t.Error("the namespace is left after delete")
	}
	p.delete()
}

// TestPlacement checks where namespaced objects go.
func TestPlacement(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	other := p.namespace + "-b"
	p.addNamespace(other)
	named := strings.Replace(configMap("named", "1"), "{name", "{namespace: "+p.namespace+", name", 1)
	for name, c := range map[string]struct {
		config, fallback string
		want             map[string]string
	}{
		"none":             {want: map[string]string{"plain": p.namespace, "named": p.namespace}},
		"intoNs":           {config: "intoNs: " + other, want: map[string]string{"plain": other, "named": other}},
		"mapNs":            {config: "mapNs: [" + p.namespace + "=" + other + "]", want: map[string]string{"plain": other, "named": other}},
		"raw":              {config: "rawOptions: [--into-ns=" + other + "]", want: map[string]string{"plain": other, "named": other}},
		"defaultNamespace": {fallback: other, want: map[string]string{"plain": other, "named": p.namespace}},
	} {
		t.Run(name, func(t *testing.T) {
			p := *p
			p.t, p.app.DefaultNamespace = t, c.fallback
			got := map[string]string{}
			for _, change := range p.plan(c.config, configMap("plain", "1")+named) {
				got[change.Name] = change.Namespace
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("namespaces (-want +got):\n%s", diff)
			}
		})
	}
	p.deploy("intoNs: "+other, configMap("plain", "1"))
	if p.configMap("plain") != nil || p.configMap("app") == nil {
		t.Error("expected the record in the App's namespace, and the object in the other one")
	}
	p.delete()
}

func TestDiffRun(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	result, events, err := p.run(`rawOptions: ["--diff-run=true"]`, configMap("one", "1"))
	if err != nil || len(made(events)) > 0 || p.configMap("one") != nil {
		t.Errorf("--diff-run changed something: %v, %v", made(events), err)
	}
	if want := "nothing was applied: rawOptions has --diff-run; 1 change is pending"; result.Skipped != want {
		t.Errorf("expected to be skipped with %q, found %q", want, result.Skipped)
	}
}

func TestNoopDelete(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deploy("", configMap("one", "1"))
	p.app.NoopDelete = true
	began := time.Now()
	p.delete()
	if w := p.writes(began); len(w) > 0 || p.configMap("one") == nil || p.configMap("app") == nil {
		t.Errorf("noopDelete removed something: %v", w)
	}
}

// TestEmpty checks that the option for it lets an app become empty.
func TestEmpty(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deploy("", configMap("one", "1"))
	events := p.deploy(`rawOptions: ["--dangerous-allow-empty-list-of-resources=true"]`, "")
	if diff := cmp.Diff([]string{"delete ConfigMap one"}, made(events)); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

// TestPodLogs checks that logs that the manifests ask for arrive as events.
func TestPodLogs(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	pod := "apiVersion: v1\nkind: Pod\nmetadata: {name: talk, annotations: {" + logsKey + ": \"\"}}\n" +
		"spec: {restartPolicy: Never, containers: [{name: main, image: \"" + image + "\", command: [sh, -c, \"echo hello from the pod; sleep 4\"]}]}\n"
	var lines []string
	for _, e := range p.deploy(`rawOptions: ["--wait-check-interval=2s"]`, pod) {
		if e.Type == stages.LogLine {
			lines = append(lines, e.Message)
		}
	}
	if want := "logs | talk > main | hello from the pod"; !strings.Contains(strings.Join(lines, "\n"), want) {
		t.Errorf("expected the line %q among the events, found %q", want, lines)
	}
}
