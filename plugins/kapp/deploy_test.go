package kapp

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"strake.dev/strake/stages"
)

const sleep = "sleep 100000"

// TestDeploy follows an app through its life.
func TestDeploy(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	// Ready only after a while, so that kapp has to wait.
	web := strings.Replace(deployment("web", image, sleep), "spec:\n", "spec:\n  minReadySeconds: 3\n", 1)
	first := configMap("one", "1") + configMap("two", "2") + web

	events := p.deploy("", first)
	want := []string{"create ConfigMap one", "create ConfigMap two", "create Deployment web"}
	if diff := cmp.Diff(want, made(events)); diff != "" {
		t.Errorf("changes of the first deploy (-want +got):\n%s", diff)
	}
	if !slices.ContainsFunc(events, func(e stages.Event) bool {
		return e.Type == stages.TaskUpdate && strings.HasPrefix(e.Task.Name, "deployment/web") && e.Task.State == stages.TaskDone
	}) {
		t.Error("no event tells that the deployment became ready")
	}
	record := p.configMap("app")
	if record == nil || !strings.Contains(record.Data["spec"], "kapp.k14s.io/app") {
		t.Fatalf("the app's record isn't kapp's: %v", record)
	}

	began := time.Now()
	result, events, err := p.run("", first)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("nothing to do: %s", time.Since(began))
	if want := "nothing to apply: 3 objects are up to date"; result.Skipped != want {
		t.Errorf("second deploy: expected to be skipped with %q, found %q", want, result.Skipped)
	}
	if len(made(events)) > 0 {
		t.Errorf("second deploy made changes: %v", made(events))
	}
	if w := p.writes(began); len(w) > 0 {
		t.Errorf("second deploy wrote: %v", w)
	}

	second := configMap("one", "changed") + web
	began = time.Now()
	changes := p.plan("", second)
	got := map[string]string{}
	for _, c := range changes {
		got[c.Op+" "+c.Kind+" "+c.Namespace+"/"+c.Name] = c.Reason
	}
	if diff := cmp.Diff(map[string]string{
		"update ConfigMap " + p.namespace + "/one": "differs from the cluster",
		"delete ConfigMap " + p.namespace + "/two": "no longer in the manifests",
	}, got); diff != "" {
		t.Errorf("plan of the change (-want +got):\n%s", diff)
	}
	for _, c := range changes {
		if c.Name == "one" && (!strings.Contains(c.Diff, "-   value: \"1\"") || !strings.Contains(c.Diff, "+   value: changed")) {
			t.Errorf("diff of the change:\n%s", c.Diff)
		}
	}
	if w := p.writes(began); len(w) > 0 {
		t.Errorf("plan wrote: %v", w)
	}

	began = time.Now()
	events = p.deploy("", second)
	t.Logf("small change: %s", time.Since(began))
	if diff := cmp.Diff([]string{"delete ConfigMap two", "update ConfigMap one"}, made(events)); diff != "" {
		t.Errorf("changes of the second deploy (-want +got):\n%s", diff)
	}
	if p.configMap("two") != nil || p.configMap("one").Data["value"] != "changed" {
		t.Error("the cluster isn't as the manifests say")
	}

	objects, err := p.step("").(stages.Inspector).Inspect(t.Context(), p.job(""))
	if err != nil {
		t.Fatal(err)
	}
	owners := map[string][]string{}
	for _, o := range objects {
		owners[o.Owner] = append(owners[o.Owner], o.Kind)
		if o.State != "ok" || o.Created == "" || o.Namespace != p.namespace || o.APIVersion == "" {
			t.Errorf("inspected object: %+v", o)
		}
	}
	if diff := cmp.Diff([]string{"ConfigMap", "Deployment"}, owners["kapp"]); diff != "" {
		t.Errorf("objects of kapp (-want +got):\n%s", diff)
	}
	if !slices.Contains(owners["cluster"], "Pod") {
		t.Errorf("objects of the cluster: %v", owners["cluster"])
	}

	p.delete()
	left, err := p.core.CoreV1().ConfigMaps(p.namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range left.Items {
		if m.Name != "kube-root-ca.crt" {
			t.Errorf("left after delete: ConfigMap %s", m.Name)
		}
	}
	p.delete()
	if _, err := p.step("").(stages.Inspector).Inspect(t.Context(), p.job("")); !errors.Is(err, stages.ErrNotDeployed) {
		t.Errorf("inspect after delete: expected ErrNotDeployed, found %v", err)
	}
}
