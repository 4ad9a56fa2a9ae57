package ssa

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

// in puts objects that name no namespace into one.
func in(namespace, manifests string) string {
	return strings.ReplaceAll(manifests, "metadata: {name:", "metadata: {namespace: "+namespace+", name:")
}

// tellAll deploys and lists what was told of all objects, in that order, and of the wait.
func (p *place) tellAll(config, manifests string) []string {
	p.t.Helper()
	job := p.job(manifests)
	job.Unchanged = true
	if _, err := p.step(config).Run(p.t.Context(), job); err != nil {
		p.t.Fatalf("%v\nhint: %s", err, stages.Hint(err))
	}
	var all []string
	for _, e := range stagetest.Recorded(job).Events() {
		switch e.Type {
		case stages.ChangeMade:
			all = append(all, e.Change.Op+" "+e.Change.Kind+"/"+e.Change.Name)
		case stages.Waiting:
			all = append(all, "waiting")
		}
	}
	return all
}

// TestOrderOfTelling tells of all objects in the order of the library, whatever the order in which the
// many of them are written.
func TestOrderOfTelling(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	ns := p.namespace + "-in"
	p.removeLater(ns)
	var many string
	var want []string
	for n := range 40 {
		many += configMap(fmt.Sprintf("m%02d", n), "1")
		want = append(want, fmt.Sprintf("create ConfigMap/m%02d", n))
	}
	all := deploymentOfNone("web") + many + "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: " + ns + "}\n"
	all = strings.Replace(in(ns, all), "{namespace: "+ns+", name: "+ns+"}", "{name: "+ns+"}", 1)
	want = append(append([]string{"create Namespace/" + ns}, want...), "create Deployment/web", "waiting")
	if diff := cmp.Diff(want, p.tellAll("", all)); diff != "" {
		t.Errorf("first (-want +got):\n%s", diff)
	}
	second := strings.Replace(all, `name: m07}`+"\n"+`data: {value: "1"}`, `name: m07}`+"\n"+`data: {value: "2"}`, 1)
	for n := range want {
		want[n] = strings.Replace(want[n], "create", "noop", 1)
	}
	want[8] = "update ConfigMap/m07"
	if diff := cmp.Diff(want, p.tellAll("", second)); diff != "" {
		t.Errorf("second (-want +got):\n%s", diff)
	}
	want[8] = "noop ConfigMap/m07"
	if diff := cmp.Diff(want[:len(want)-1], p.tellAll("", second)); diff != "" {
		t.Errorf("third (-want +got):\n%s", diff)
	}
	job := p.job("")
	if err := p.step("").(stages.Deleter).Delete(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range stagetest.Recorded(job).Events() {
		if e.Type == stages.ChangeMade {
			got = append([]string{strings.Replace(e.Change.Op, "delete", "noop", 1) + " " + e.Change.Kind + "/" + e.Change.Name}, got...)
		}
	}
	if diff := cmp.Diff(want[:len(want)-1], got); diff != "" {
		t.Errorf("delete, backward (-want +got):\n%s", diff)
	}
}

func deploymentOfNone(name string) string {
	return strings.Replace(deployment(name, image, sleep), "spec:\n", "spec:\n  replicas: 0\n", 1)
}

// TestReady waits for what an earlier deploy hasn't waited for, or what has become unready since.
func TestReady(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	bad := deployment("web", "registry.invalid/none:1", sleep)
	p.deploy("wait: false", bad)
	p.nothing("wait: false", bad)
	p.fails("waitTimeout: 3s", bad, "deployment/web", "isn't ready after 3s")
	good := deployment("web", image, sleep)
	p.deploy("", good)
	p.nothing("", good)
	// Its status alone says that a pod is missing.
	patch := []byte(`{"status":{"availableReplicas":0,"readyReplicas":0,"observedGeneration":1,"conditions":[{"type":"Available","status":"False","reason":"x","message":"no pods"}]}}`)
	d, err := p.core.AppsV1().Deployments(p.namespace).Patch(t.Context(), "web", types.MergePatchType, []byte(`{"metadata":{"annotations":{"x":null}}}`), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.core.AppsV1().Deployments(p.namespace).Patch(t.Context(), d.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	p.deploy("", good) // the controller puts it right, which is waited for
}

// TestRecordNamespace makes the namespace of the inventory if that is wanted, and leaves it.
func TestRecordNamespace(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	ns := p.namespace + "-new"
	p.removeLater(ns)
	p.app.Namespace = ns
	p.fails("", configMap("a", "1"), "namespace "+ns+" doesn't exist", "--create-namespace")
	if got := told(p.plan("createNamespace: true", configMap("a", "1"))); len(got) != 1 {
		t.Errorf("plan: %v", got)
	}
	if _, err := p.core.CoreV1().Namespaces().Get(t.Context(), ns, metav1.GetOptions{}); err == nil {
		t.Error("a plan has made the namespace")
	}
	p.deploy("createNamespace: true", configMap("a", "1"))
	p.nothing("", configMap("a", "1"))
	p.delete()
	if state, err := p.core.CoreV1().Namespaces().Get(t.Context(), ns, metav1.GetOptions{}); err != nil || state.Status.Phase != corev1.NamespaceActive {
		t.Errorf("the namespace after delete: %v, %v", state, err)
	}
}

// TestOrigin records where manifests are from, also when nothing else changes.
func TestOrigin(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	run := func(origin stages.Origin) stages.Result {
		t.Helper()
		job := p.job(configMap("a", "1"))
		job.Origin = origin
		result, err := p.step("").Run(t.Context(), job)
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	one := stages.Origin{Source: "r.io/app", Revision: "1", Artifacts: []string{"r.io/app@sha256:" + strings.Repeat("1", 64)}}
	run(one)
	if got := p.inventory().origin; !got.Equal(one) {
		t.Errorf("recorded %+v", got)
	}
	two := stages.Origin{Source: "r.io/app", Revision: "2", Artifacts: []string{"r.io/app@sha256:" + strings.Repeat("2", 64)}}
	if result := run(two); result.Skipped == "" {
		t.Error("something was changed")
	}
	if got := p.inventory().origin; !got.Equal(two) {
		t.Errorf("recorded %+v", got)
	}
	before := p.configMap("inv-app").ResourceVersion
	run(two)
	if p.configMap("inv-app").ResourceVersion != before {
		t.Error("a run with nothing to do has written the inventory")
	}
}
