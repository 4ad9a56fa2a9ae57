package ssa

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
	web := strings.Replace(deployment("web", image, sleep), "spec:\n", "spec:\n  minReadySeconds: 2\n", 1)
	secret := "---\napiVersion: v1\nkind: Secret\nmetadata: {name: key}\nstringData: {a: hush, b: hush}\n"
	first := configMap("one", "1") + configMap("two", "2") + web + secret

	want := []string{"create ConfigMap one", "create ConfigMap two", "create Deployment web", "create Secret key"}
	if diff := cmp.Diff(want, told(p.plan("", first))); diff != "" {
		t.Errorf("first plan (-want +got):\n%s", diff)
	}
	if p.configMap("one") != nil || p.configMap("inv-app") != nil {
		t.Fatal("a plan has written")
	}
	_, events, err := p.run("", first)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, made(events)); diff != "" {
		t.Errorf("changes of the first deploy (-want +got):\n%s", diff)
	}
	if !slices.ContainsFunc(events, func(e stages.Event) bool {
		return e.Type == stages.TaskUpdate && strings.HasPrefix(e.Task.Name, "deployment/web") && e.Task.State == stages.TaskDone
	}) {
		t.Error("no event tells that the deployment became ready")
	}
	before := p.configMap("inv-app").ResourceVersion
	p.nothing("", first)
	if p.configMap("inv-app").ResourceVersion != before {
		t.Error("a run with nothing to do has written the inventory")
	}

	second := configMap("one", "changed") + web + strings.Replace(secret, "a: hush, b: hush", "a: other", 1)
	changes := p.plan("", second)
	if diff := cmp.Diff([]string{"delete ConfigMap two", "update ConfigMap one", "update Secret key"}, told(changes)); diff != "" {
		t.Errorf("plan of the change (-want +got):\n%s", diff)
	}
	for _, c := range changes {
		if c.Name == "one" && (!strings.Contains(c.Diff, "-  value: \"1\"") || !strings.Contains(c.Diff, "+  value: changed")) {
			t.Errorf("diff of the change:\n%s", c.Diff)
		}
		if strings.Contains(c.Diff, "managedFields") || strings.Contains(c.Diff, "resourceVersion") || strings.Contains(c.Diff, "aHVz") {
			t.Errorf("noise or a secret in a diff:\n%s", c.Diff)
		}
	}
	if diff := cmp.Diff([]string{"delete ConfigMap two", "update ConfigMap one", "update Secret key"}, p.deploy("", second)); diff != "" {
		t.Errorf("changes of the second deploy (-want +got):\n%s", diff)
	}
	key, err := p.core.CoreV1().Secrets(p.namespace).Get(t.Context(), "key", metav1.GetOptions{})
	if err != nil || len(key.Data) != 1 || string(key.Data["a"]) != "other" {
		t.Errorf("Secret after the change: %v, %v", key.Data, err)
	}
	if p.configMap("two") != nil || p.configMap("one").Data["value"] != "changed" || len(p.inventory().items) != 3 {
		t.Error("the cluster isn't as the manifests say")
	}
	// What somebody else changes is noticed and put right.
	m := p.configMap("one")
	m.Data["value"] = "by hand"
	if _, err := p.core.CoreV1().ConfigMaps(p.namespace).Update(t.Context(), m, metav1.UpdateOptions{FieldManager: "hand"}); err != nil {
		t.Fatal(err)
	}
	objects, err := p.step("").(stages.Inspector).Inspect(t.Context(), p.job(""))
	if err != nil {
		t.Fatal(err)
	}
	owners := map[string][]string{}
	for _, o := range objects {
		owners[o.Owner] = append(owners[o.Owner], o.Kind)
		if o.State != "ok" || o.Created == "" || o.UID == "" || (o.Owner == "cluster") != (o.Parent != "") {
			t.Errorf("inspected object: %+v", o)
		}
		if (o.Name == "one") != strings.HasPrefix(o.Drift, "changed by hand at ") {
			t.Errorf("drift of %s: %q", o.Name, o.Drift)
		}
	}
	if diff := cmp.Diff(map[string][]string{"ssa": {"ConfigMap", "Deployment", "Secret"}, "cluster": {"Pod", "ReplicaSet"}}, owners); diff != "" {
		t.Errorf("inspected (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"update ConfigMap one"}, p.deploy("", second)); diff != "" {
		t.Errorf("putting right (-want +got):\n%s", diff)
	}
	p.nothing("", second)

	all, err := Plugin(p.deps).Apps(t.Context(), p.namespace)
	if err != nil || len(all) != 1 || all[0].Name != "app" || all[0].Objects != 3 || all[0].By != "strake test" || all[0].Outcome != "succeeded" || time.Since(all[0].Applied) > time.Minute {
		t.Errorf("apps: %+v, %v", all, err)
	}
	revisions, err := p.step("").(stages.Historian).History(t.Context(), p.job(""))
	if err != nil || len(revisions) != 3 || revisions[0].Message != "0 created, 1 updated, 0 deleted" {
		t.Errorf("history: %+v, %v", revisions, err)
	}
	back, err := p.step("").(stages.Historian).Recall(t.Context(), p.job(""), 1)
	if err != nil || string(back) != first {
		t.Errorf("the first deploy's manifests: %q, %v", back, err)
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
