package ssa

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"strake.dev/strake/internal/kube"
	"strake.dev/strake/stages"
)

const definition = `---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.%[1]s.example.com}
spec:
  group: %[1]s.example.com
  scope: Namespaced
  names: {kind: Thing, listKind: ThingList, plural: things, singular: thing}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`

// TestDefinition deploys a type and an object of it in one go, and deletes them.
func TestDefinition(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	group := p.namespace
	all := fmt.Sprintf(definition+`---
apiVersion: %[1]s.example.com/v1
kind: Thing
metadata: {name: one}
spec: {a: 1}
`, group)
	if got := told(p.plan("", all)); strings.Join(got, ",") != "create CustomResourceDefinition things."+group+".example.com,create Thing one" {
		t.Errorf("plan: %v", got)
	}
	if got := p.deploy("", all); len(got) != 2 {
		t.Errorf("made %v", got)
	}
	p.nothing("", all)
	p.delete()
	things := p.dynamic.Resource(schema.GroupVersionResource{Group: group + ".example.com", Version: "v1", Resource: "things"})
	if _, err := things.Namespace(p.namespace).List(t.Context(), metav1.ListOptions{}); err == nil {
		t.Error("the type is still there")
	}
	// The cache of types, which is kubectl's, still has it.
	p.deps.Cluster = kube.New(kube.Options{})
	if got := p.deploy("", all); len(got) != 2 {
		t.Errorf("made %v the second time", got)
	}
	p.delete()
	p.deps.Cluster = kube.New(kube.Options{})
	p.fails("", strings.SplitAfter(all, "---\n")[2], "thing/one", "the cluster has no Thing in "+group+".example.com/v1")
}

// TestPreflight finds everything that can be known before the first write, at once and with its place.
func TestPreflight(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	all := configMap("good", "1") +
		"---\napiVersion: example.com/v9\nkind: Nothing\nmetadata: {name: x}\n" +
		"---\napiVersion: autoscaling/v2beta2\nkind: HorizontalPodAutoscaler\nmetadata: {name: h}\n" +
		"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: elsewhere, namespace: not-there-at-all}\n" +
		configMap("large", strings.Repeat("x", 1<<20+1)) + configMap("good", "2") +
		"---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 99999}]}\n" +
		"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: typo}\ndta: {a: b}\n"
	err := p.failure("", all,
		"manifests.yaml:7: nothing/x", "the cluster has no Nothing in example.com/v9",
		"manifests.yaml:11: horizontalpodautoscaler/h", "no HorizontalPodAutoscaler in autoscaling/v2beta2, but in autoscaling/v2",
		"manifests.yaml:15: configmap/elsewhere (namespace not-there-at-all): namespace not-there-at-all doesn't exist",
		"configmap/large", "more than the 1048576 that the cluster can store",
		"configmap/good (namespace "+p.namespace+") is in the manifests twice",
		"service/s", "99999", "configmap/typo", ".dta", "hint: ", "kubectl create namespace not-there-at-all")
	if n := strings.Count(err.Error(), "\n"); n < 6 {
		t.Errorf("expected all findings at once, found:\n%s", err)
	}
	if p.configMap("good") != nil || p.configMap("inv-app") != nil {
		t.Error("something was written")
	}
}

func TestOwnership(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deploy("", configMap("shared", "1"))
	kapps := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kapps", Labels: map[string]string{kappLabel: "123"}}}
	if _, err := p.core.CoreV1().ConfigMaps(p.namespace).Create(t.Context(), kapps, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	other := *p
	other.app.Name = "other"
	other.fails("", configMap("shared", "2")+configMap("kapps", "2"),
		"configmap/shared (namespace "+p.namespace+") belongs to inventory app in namespace "+p.namespace+" already",
		"configmap/kapps (namespace "+p.namespace+") belongs to an app of kapp (label kapp.k14s.io/app=123) already", "takeOver: true")
	other.deploy("takeOver: true", configMap("shared", "2")+configMap("kapps", "2"))
	if _, ok := p.configMap("kapps").Labels[kappLabel]; ok {
		t.Error("kapp would still take the object for its own")
	}
	// What was taken over isn't deleted with the app that had it.
	p.delete()
	if p.configMap("shared") == nil {
		t.Error("deleting an app has deleted another's object")
	}
}

func TestPrune(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	var many string
	for n := range 12 {
		many += configMap(fmt.Sprintf("m%d", n), "1")
	}
	p.deploy("", many)
	p.fails("", "", "the manifests hold no object: everything that is deployed would be deleted", "--allow-empty")
	p.fails("", configMap("m0", "1"), "11 of the app's 12 objects are no longer in the manifests", "--max-prune 100")
	if p.configMap("m11") == nil {
		t.Error("something was deleted")
	}
	// Without pruning nothing is forgotten.
	p.deploy("prune: false", configMap("m0", "2"))
	if n := len(p.inventory().items); n != 12 {
		t.Errorf("expected 12 objects in the inventory, found %d", n)
	}
	p.limits.MaxPrune = 100
	if got := p.deploy("", configMap("m0", "2")); len(got) != 11 {
		t.Errorf("pruned: %v", got)
	}
	p.limits.AllowEmpty = true
	p.deploy("", "")
	if p.configMap("m0") != nil || len(p.inventory().items) != 0 {
		t.Error("the last object is still there")
	}
}

// TestInhabited keeps a namespace that another app has objects in.
func TestInhabited(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	ns := p.namespace + "-more"
	p.removeLater(ns)
	with := fmt.Sprintf("---\napiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n", ns)
	p.deploy("", with+configMap("a", "1"))
	other := *p
	other.app.Name = "other"
	other.deploy("", fmt.Sprintf("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, namespace: %s}\n", ns))
	p.fails("", configMap("a", "1"), "namespace/"+ns+" would be deleted", "what inventory other in namespace "+p.namespace+" has there")
	other.delete()
	p.deploy("", configMap("a", "1"))
}

// TestNamespaceComesAlong puts everything, the inventory too, into a namespace of the manifests.
func TestNamespaceComesAlong(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.namespace += "-own"
	p.app.Namespace = p.namespace
	p.removeLater(p.namespace)
	all := fmt.Sprintf("---\napiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n", p.namespace) + configMap("a", "1")
	p.deploy("", all)
	p.nothing("", all)
	p.delete()
	if _, err := p.core.CoreV1().Namespaces().Get(t.Context(), p.namespace, metav1.GetOptions{}); err == nil {
		t.Error("the namespace is still there")
	}
}

func TestTerminating(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	ns := p.namespace + "-going"
	p.addNamespace(ns)
	held := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "held", Namespace: ns, Finalizers: []string{"example.com/held"}}}
	if _, err := p.core.CoreV1().ConfigMaps(ns).Create(t.Context(), held, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := p.core.CoreV1().Namespaces().Delete(t.Context(), ns, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	p.fails("", configMap("a", "1")+fmt.Sprintf("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, namespace: %s}\n", ns), "namespace "+ns+" is being deleted")
	p.release("held", ns)
}

func (p *place) release(name, namespace string) {
	p.t.Helper()
	_, err := p.core.CoreV1().ConfigMaps(namespace).Patch(p.t.Context(), name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
}

// TestStuck has an object that doesn't go away: the error says why, and the next run goes on.
func TestStuck(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deploy("", configMap("a", "1")+strings.Replace(configMap("stuck", "1"), "{name: stuck}", "{name: stuck, finalizers: [example.com/held]}", 1))
	p.fails("waitTimeout: 1s", configMap("a", "1"), "configmap/stuck (namespace "+p.namespace+") isn't gone after 1s", "kept by finalizers: example.com/held")
	if _, ok := p.inventory().items[id{schema.GroupKind{Kind: "ConfigMap"}, p.namespace, "stuck"}]; !ok {
		t.Error("an object that isn't gone is forgotten")
	}
	time.AfterFunc(time.Second, func() { p.release("stuck", p.namespace) })
	p.deploy("", configMap("a", "1"))
	p.nothing("", configMap("a", "1"))
}

// TestGoing deploys an object that is being deleted: it is made anew once it is gone.
func TestGoing(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	held := strings.Replace(configMap("a", "1"), "{name: a}", "{name: a, finalizers: [example.com/held]}", 1)
	p.deploy("", held)
	if err := p.core.CoreV1().ConfigMaps(p.namespace).Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	before := p.configMap("a").UID
	time.AfterFunc(time.Second, func() { p.release("a", p.namespace) })
	if got := p.deploy("", configMap("a", "1")); len(got) != 1 {
		t.Errorf("made %v", got)
	}
	if m := p.configMap("a"); m == nil || m.UID == before || m.DeletionTimestamp != nil {
		t.Errorf("after the deploy: %+v", m)
	}
}

func TestUnready(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.limits.ObjectTimeout = 25 * time.Second
	// A busy node may tell late that a container has ended: longer than the time-out it can't count as ready.
	p.fails("", configMap("a", "1")+strings.Replace(deployment("web", image, "echo I am broken; exit 3"), "spec:\n", "spec:\n  minReadySeconds: 60\n", 1),
		"deployment/web (namespace "+p.namespace+") isn't ready after 25s", "container main ended with exit code 3", "| I am broken", "--object-timeout")
	if got := p.inventory(); got.record.Outcome != "failed" || len(got.items) != 2 {
		t.Errorf("inventory after a failure: %+v", got.record)
	}
	p.limits.ObjectTimeout = 0
	p.deploy("", configMap("a", "1")+deployment("web", image, sleep))
}

func TestImmutable(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	selector := strings.ReplaceAll(deployment("web", image, sleep), "{app: web}", "{app: other}")
	p.deploy("", deployment("web", image, sleep))
	p.fails("", selector, "deployment/web", "immutable", "force: true")
	if got := p.deploy("force: true", selector); len(got) != 1 {
		t.Errorf("made %v", got)
	}
	p.nothing("force: true", selector)
}

func TestConflicts(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deploy("", configMap("a", "1"))
	patch := []byte(`{"apiVersion":"v1","kind":"ConfigMap","data":{"value":"theirs"}}`)
	force := true
	_, err := p.core.CoreV1().ConfigMaps(p.namespace).Patch(t.Context(), "a", types.ApplyPatchType, patch, metav1.PatchOptions{FieldManager: "them", Force: &force})
	if err != nil {
		t.Fatal(err)
	}
	p.fails("conflicts: fail", configMap("a", "2"), "configmap/a", "others own fields that the manifests set otherwise: .data.value", "them", "conflicts: force")
	if p.configMap("a").Data["value"] != "theirs" {
		t.Error("a conflict was written over")
	}
	ignore := "driftIgnore: [{paths: [/data/value], target: {kind: ConfigMap}}]"
	p.deploy(ignore, configMap("a", "2")+configMap("b", "1"))
	if p.configMap("a").Data["value"] != "theirs" || p.configMap("b").Data["value"] != "1" {
		t.Error("ignored drift was written over, or a new object lacks the field")
	}
	p.deploy("", configMap("a", "2")+configMap("b", "1"))
	if p.configMap("a").Data["value"] != "2" {
		t.Error("a conflict wasn't forced")
	}
}

// TestRights deploys as a service account that may only handle ConfigMaps and its own records.
func TestRights(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	ctx, meta := t.Context(), metav1.ObjectMeta{Name: "deployer"}
	if _, err := p.core.CoreV1().ServiceAccounts(p.namespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	role := &rbac.Role{ObjectMeta: meta, Rules: []rbac.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get", "list", "create", "update", "patch"}}}}
	if _, err := p.core.RbacV1().Roles(p.namespace).Create(ctx, role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbac.RoleBinding{
		ObjectMeta: meta, RoleRef: rbac.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "Role", Name: meta.Name},
		Subjects: []rbac.Subject{{Kind: "ServiceAccount", Name: meta.Name, Namespace: p.namespace}},
	}
	if _, err := p.core.RbacV1().RoleBindings(p.namespace).Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	p.app.ServiceAccountName = meta.Name
	p.fails("", configMap("a", "1")+deployment("web", image, sleep),
		"deployment/web", `cannot patch resource "deployments"`, "hint: whoever deploys needs the right")
	if p.configMap("a") != nil {
		t.Error("something was written")
	}
	// Watching and deleting isn't allowed, waiting goes on without.
	p.deploy("", configMap("a", "1")+configMap("b", "1"))
	p.nothing("", configMap("a", "1")+configMap("b", "1"))
	p.fails("", configMap("a", "2"), "no right to delete configmaps/b in namespace "+p.namespace)
	if p.configMap("a").Data["value"] != "1" {
		t.Error("something was written")
	}
}

// faulty stands between the plugin and the API server: it fails every third request for the moment, and
// ends each watch after a second.
type faulty struct {
	next http.RoundTripper
	n    *atomic.Int64
}

func (f faulty) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Query().Get("watch") != "" {
		q := r.URL.Query()
		q.Set("timeoutSeconds", "1")
		r = r.Clone(r.Context())
		r.URL.RawQuery = q.Encode()
	}
	n := f.n.Add(1)
	codes := []int{http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusConflict}
	reasons := []metav1.StatusReason{metav1.StatusReasonTooManyRequests, metav1.StatusReasonServiceUnavailable, metav1.StatusReasonConflict}
	if n%3 != 0 || strings.Contains(r.URL.Path, "/leases") {
		return f.next.RoundTrip(r)
	}
	k := int(n/3) % len(codes)
	if codes[k] == http.StatusConflict && r.Method != http.MethodPatch {
		k = 0
	}
	body := fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d,"message":"the object has been modified; please apply your changes to the latest version"}`, reasons[k], codes[k])
	header := http.Header{"Content-Type": {"application/json"}}
	return &http.Response{StatusCode: codes[k], Status: http.StatusText(codes[k]), Header: header, Body: reader(body), Request: r}, nil
}

// TestFaults deploys, changes and deletes an app through a server that is busy all the time.
func TestFaults(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deps.Cluster = clusterThrough(t, func(next http.RoundTripper) http.RoundTripper { return faulty{next, new(atomic.Int64)} })
	web := strings.Replace(deployment("web", image, sleep), "spec:\n", "spec:\n  minReadySeconds: 3\n", 1)
	p.deploy("", configMap("a", "1")+configMap("b", "1")+web)
	p.deploy("", configMap("a", "2")+web)
	p.nothing("", configMap("a", "2")+web)
	p.delete()
	if p.configMap("a") != nil || p.configMap("inv-app") != nil {
		t.Error("something is left")
	}
}

// notServing answers the first writes of a type as a server does that has just learnt of it.
type notServing struct {
	http.RoundTripper
	path string
	left *atomic.Int64
}

func (u notServing) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodPatch || !strings.HasPrefix(r.URL.Path, u.path) || u.left.Add(-1) < 0 {
		return u.RoundTripper.RoundTrip(r)
	}
	return &http.Response{
		StatusCode: http.StatusNotFound, Header: http.Header{"Content-Type": {"text/plain"}}, Body: reader("404 page not found\n"), Request: r,
	}, nil
}

// TestUnserved deploys an object whose type is established, and not served for a moment.
func TestUnserved(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	fault := notServing{path: "/apis/" + p.namespace + ".example.com/", left: new(atomic.Int64)}
	fault.left.Store(3)
	p.deps.Cluster = clusterThrough(t, func(next http.RoundTripper) http.RoundTripper {
		fault.RoundTripper = next
		return fault
	})
	thing := fmt.Sprintf(definition+"---\napiVersion: %[1]s.example.com/v1\nkind: Thing\nmetadata: {name: one}\n", p.namespace)
	if got := p.deploy("", thing); len(got) != 2 {
		t.Errorf("made %v", got)
	}
	if fault.left.Load() >= 0 {
		t.Error("no write was answered wrongly")
	}
	p.delete()
}

// TestWebhook has an admission webhook that doesn't answer.
func TestWebhook(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	hook := fmt.Sprintf(`---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: %[1]s}
webhooks:
- name: hook.%[1]s.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  timeoutSeconds: 1
  failurePolicy: Fail
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[1]s}}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [services]}]
  clientConfig: {url: "https://127.0.0.1:1/hook"}
`, p.namespace)
	other := *p
	other.app.Name = "hook"
	other.deploy("", hook)
	t.Cleanup(func() {
		_ = p.core.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(context.Background(), p.namespace, metav1.DeleteOptions{})
	})
	time.Sleep(time.Second) // until the API server heeds it
	ctx := p.t.Context()
	_, err := p.step("").Run(ctx, p.job("---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80}]}\n"+configMap("a", "1")))
	p.says(err, "service/s", "failed calling webhook", "see “kubectl get validatingwebhookconfigurations")
	if p.configMap("a") != nil {
		t.Error("something was written")
	}
	other.delete()
}

func TestSaved(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	first, second := configMap("a", "1")+configMap("b", "1")+configMap("c", "1"), configMap("a", "2")+configMap("c", "1")+configMap("d", "1")
	p.deploy("", first)
	saver := p.step("").(stages.Saver)
	saved, err := saver.Save(t.Context(), p.job(second))
	if err != nil {
		t.Fatal(err)
	}
	if len(saved.Writes) != 3 || len(saved.Changes) != 3 {
		t.Fatalf("saved: %+v", saved)
	}
	m := p.configMap("a")
	m.Data["value"] = "theirs"
	if _, err := p.core.CoreV1().ConfigMaps(p.namespace).Update(t.Context(), m, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.core.CoreV1().ConfigMaps(p.namespace).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "d"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err = saver.Apply(t.Context(), p.job(second), saved)
	p.says(err, "configmap/a (namespace "+p.namespace+") was changed meanwhile", "configmap/d (namespace "+p.namespace+") was created meanwhile", "make a new plan")
	if p.configMap("a").Data["value"] != "theirs" || p.configMap("b") == nil {
		t.Error("a plan that doesn't fit was carried out")
	}
	if saved, err = saver.Save(t.Context(), p.job(second)); err != nil {
		t.Fatal(err)
	}
	if _, err := saver.Apply(t.Context(), p.job(second), saved); err != nil {
		t.Fatal(err)
	}
	if p.configMap("a").Data["value"] != "2" || p.configMap("b") != nil || p.configMap("d") == nil {
		t.Error("the plan wasn't carried out")
	}
	_, err = saver.Apply(t.Context(), p.job(second), saved)
	p.says(err, "configmap/b (namespace "+p.namespace+"): there is nothing to delete any more")
	if empty, err := saver.Save(t.Context(), p.job(second)); err != nil || len(empty.Writes) != 0 {
		t.Errorf("plan of nothing: %+v, %v", empty, err)
	}
}

func TestAutoscaled(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	hpa := "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: web}\nspec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}\n"
	web := strings.Replace(deployment("web", image, sleep), "spec:\n", "spec:\n  replicas: 2\n", 1)
	changes := p.plan("", web+hpa)
	for _, c := range changes {
		if strings.Contains(c.Diff, "replicas: 2") {
			t.Errorf("replicas of a scaled workload are set:\n%s", c.Diff)
		}
	}
}
