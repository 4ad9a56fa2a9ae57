package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const adopted = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {team: a}}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: "docker.io/library/busybox:latest", command: [sh, -c, "sleep 100000"]}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: b, c: d}
`

// TestAdopt takes over an app of kapp without touching its pods.
func TestAdopt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set = nil
	w.write("all.yaml", adopted)
	w.must("kapp", "deploy", "-a", "shop", "-n", w.namespace, "-f", "all.yaml", "--yes")
	before := w.running()
	if o := w.must("adopt", "shop", "-n", w.namespace, "--from", "kapp", "--dry-run"); !strings.Contains(o.stdout, "Deployment/"+w.namespace+"/web would be adopted") || slices.Contains(w.objects(), "configmap/inv-shop") {
		t.Errorf("dry run: %s", o)
	}
	if o := w.must("adopt", "shop", "-n", w.namespace, "--from", "kapp", "--keep-record"); !strings.Contains(o.stdout, "has 3 object(s)") || !slices.Contains(w.objects(), "configmap/shop") {
		t.Errorf("with the record kept: %s", o)
	}
	if o := w.must("adopt", "shop", "-n", w.namespace, "--from", "kapp"); !strings.Contains(o.stdout, "has 3 object(s)") {
		t.Errorf("again: %s", o)
	}
	if left := strings.Join(w.objects(), " "); strings.Contains(left, "configmap/shop") {
		t.Errorf("records of kapp are left: %s", left)
	}
	o := w.must("apply", "shop", "-n", w.namespace, "-f", "all.yaml", "--prune", "--wait")
	if strings.Count(o.stdout, "unchanged\n") != 3 {
		t.Errorf("apply after the adoption: %s", o)
	}
	time.Sleep(time.Second) // for pods that would be on their way
	if after := w.running(); !slices.Equal(before, after) {
		t.Errorf("pods and generations: %v, before %v", after, before)
	}
	// What the manifests drop goes.
	w.replace("all.yaml", "data: {a: b, c: d}", "data: {a: b}")
	w.must("apply", "shop", "-n", w.namespace, "-f", "all.yaml", "--prune", "--wait")
	m, err := w.kube.CoreV1().ConfigMaps(w.namespace).Get(t.Context(), "settings", metav1.GetOptions{})
	if err != nil || len(m.Data) != 1 {
		t.Errorf("a key that was dropped: %v, %v", m.Data, err)
	}
	w.replace("all.yaml", "sleep 100000", "sleep 100001")
	w.must("apply", "shop", "-n", w.namespace, "-f", "all.yaml", "--wait")
	w.must("delete", "shop", "-n", w.namespace)
	if left := w.objects(); len(left) > 0 {
		t.Errorf("left after delete: %v", left)
	}
	if o := w.strake("adopt", "shop", "-n", w.namespace, "--from", "kapp"); o.code != 1 || !strings.Contains(o.stderr, "not deployed") {
		t.Errorf("adopting what isn't there: %s", o)
	}
}

// running lists pods and generations.
func (w *world) running() []string {
	w.t.Helper()
	var all []string
	pods, err := w.kube.CoreV1().Pods(w.namespace).List(w.t.Context(), metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range pods.Items {
		all = append(all, string(p.UID))
	}
	d, err := w.kube.AppsV1().Deployments(w.namespace).Get(w.t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return append(all, string(d.UID), string(rune('0'+d.Generation)))
}
