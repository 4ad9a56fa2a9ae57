package ssa

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// TestFormat compares an inventory with the bytes that Kustomizer 2 writes.
func TestFormat(t *testing.T) {
	inv := &inventory{items: map[id]string{
		{schema.GroupKind{Kind: "Namespace"}, "", "apps"}:                                                 "v1",
		{schema.GroupKind{Group: "apps", Kind: "Deployment"}, "apps", "web"}:                              "v1",
		{schema.GroupKind{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"}, "", "system:metrics"}: "v1",
		{schema.GroupKind{Group: "autoscaling", Kind: "HorizontalPodAutoscaler"}, "apps", "web"}:          "v2",
		{schema.GroupKind{Kind: "ConfigMap"}, "apps", "settings"}:                                         "v1",
	}}
	m, err := inv.configMap("shop", "apps")
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"id":"_apps__Namespace","ver":"v1"},{"id":"_system__metrics_rbac.authorization.k8s.io_ClusterRole","ver":"v1"},` +
		`{"id":"apps_settings__ConfigMap","ver":"v1"},{"id":"apps_web_apps_Deployment","ver":"v1"},{"id":"apps_web_autoscaling_HorizontalPodAutoscaler","ver":"v2"}]`
	if diff := cmp.Diff(want, m.Data["resources"]); diff != "" {
		t.Errorf("resources (-want +got):\n%s", diff)
	}
	labels := map[string]string{"app.kubernetes.io/name": "shop", "app.kubernetes.io/component": "inventory", "app.kubernetes.io/created-by": "kustomizer"}
	if diff := cmp.Diff(labels, m.Labels); diff != "" || m.Name != "inv-shop" {
		t.Errorf("%s: labels (-want +got):\n%s", m.Name, diff)
	}
	back, err := readInventory(m)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(inv.ids(), back.ids(), cmp.AllowUnexported(id{})); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
}

// TestSeal notices a write of Kustomizer's, which leaves strake's own key alone.
func TestSeal(t *testing.T) {
	inv := &inventory{items: map[id]string{}, record: record{By: "strake", Proof: "p"}}
	m, err := inv.configMap("shop", "apps")
	if err != nil {
		t.Fatal(err)
	}
	for name, write := range map[string]func(m *corev1.ConfigMap){
		"later": func(m *corev1.ConfigMap) {
			m.Annotations["inventory.kustomizer.dev/last-applied-time"] = "2026-01-02T03:04:05Z"
		},
		"other": func(m *corev1.ConfigMap) { m.Data["resources"] = `[{"id":"a_b__ConfigMap","ver":"v1"}]` },
		"same":  func(*corev1.ConfigMap) {},
	} {
		now := m.DeepCopy()
		write(now)
		inv, err := readInventory(now)
		if err != nil || (inv.record.Proof != "") != (name == "same") {
			t.Errorf("%s: %+v, %v", name, inv.record, err)
		}
	}
}

func FuzzReadInventory(f *testing.F) {
	f.Add(`[{"id":"a_b_c_D","ver":"v1"}]`, `["x@sha256:1"]`, `{"seal":"x"}`)
	f.Add("", "{", "[]")
	f.Fuzz(func(_ *testing.T, resources, artifacts, own string) {
		m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "inv-x"}, Data: map[string]string{resourcesKey: resources, artifactsKey: artifacts, recordKey: own}}
		if inv, err := readInventory(m); err == nil {
			_, _ = inv.configMap("x", "y")
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(configMap("a", "1") + "---\napiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Secret, metadata: {name: b}, stringData: {x: y}}]\n")
	f.Add("--- a\n- b\n---\n{")
	f.Add("apiVersion: v1\nkind: List\nitems: 3\n---\nmetadata: []\n")
	f.Fuzz(func(_ *testing.T, text string) {
		items, err := parse("manifests", []byte(text))
		if err != nil {
			return
		}
		for _, i := range items {
			_ = encodeSecret(i.want)
			isDefinition(i.want)
		}
		definitions(items)
	})
}

// kustomizer is the tool itself, if it is there.
func (p *place) kustomizer(args ...string) string {
	p.t.Helper()
	name := os.Getenv("KUSTOMIZER")
	if name == "" {
		p.t.Skip("needs Kustomizer 2: set KUSTOMIZER to its binary")
	}
	cmd := exec.CommandContext(p.t.Context(), name, append(args, "-n", p.namespace)...)
	cmd.Env = append(os.Environ(), "HOME="+p.t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Fatalf("kustomizer %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestKustomizer lets strake and Kustomizer take over an app from each other.
func TestKustomizer(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	in := func(text string) string {
		return strings.ReplaceAll(text, "metadata: {name: ", "metadata: {namespace: "+p.namespace+", name: ")
	}
	file := filepath.Join(t.TempDir(), "all.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(in(text)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	web := deployment("web", image, sleep)
	// strake's, by Kustomizer.
	p.deploy("", configMap("a", "1")+configMap("b", "1")+web)
	if out := p.kustomizer("get", "inventories"); !strings.Contains(out, "app") {
		t.Errorf("get inventories:\n%s", out)
	}
	if out := p.kustomizer("inspect", "inventory", "app"); !strings.Contains(out, "ConfigMap/"+p.namespace+"/a") || !strings.Contains(out, "Deployment/"+p.namespace+"/web") {
		t.Errorf("inspect inventory:\n%s", out)
	}
	write(configMap("a", "2") + web)
	if out := p.kustomizer("apply", "inventory", "app", "-f", file, "--prune", "--wait"); !strings.Contains(out, "ConfigMap/"+p.namespace+"/b deleted") || !strings.Contains(out, "ConfigMap/"+p.namespace+"/a configured") {
		t.Errorf("apply inventory:\n%s", out)
	}
	if p.inventory().record.Proof != "" {
		t.Error("strake's record is believed after a write of Kustomizer's")
	}
	// Kustomizer's, by strake.
	two := strings.Replace(configMap("a", "3"), `data: {value: "3"}`, `data: {other: x}`, 1)
	p.deploy("", two+configMap("c", "1")+web)
	if m := p.configMap("a"); len(m.Data) != 1 || m.Data["other"] != "x" {
		t.Errorf("a key that Kustomizer has applied and the manifests no longer have is still there: %v", m.Data)
	}
	p.nothing("", two+configMap("c", "1")+web)
	write(configMap("d", "1"))
	p.kustomizer("apply", "inventory", "theirs", "-f", file)
	theirs := *p
	theirs.app.Name = "theirs"
	theirs.deploy("", configMap("d", "1"))
	theirs.delete()
	if p.configMap("d") != nil || p.configMap("c") == nil {
		t.Error("deleting Kustomizer's inventory has deleted too little or too much")
	}
	p.kustomizer("delete", "inventory", "app", "--wait")
	if p.configMap("c") != nil || p.configMap("inv-app") != nil {
		t.Error("Kustomizer has left something of strake's")
	}
}
