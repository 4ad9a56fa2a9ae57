package kapp

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	admission "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apitypes "k8s.io/apimachinery/pkg/types"
)

// answer answers a request as an API server does that can't do what it is asked for.
func answer(w http.ResponseWriter, code int, reason metav1.StatusReason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	status := metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure,
		Code: int32(code), Reason: reason, Message: message,
	}
	_ = json.NewEncoder(w).Encode(status)
}

func isWrite(r *http.Request) bool {
	return r.Method != http.MethodGet && !strings.Contains(r.URL.Path, "authorization.k8s.io")
}

// TestDisturbed deploys, changes and deletes an app while the connection to the API server, or the
// server itself, is in trouble of many kinds.
func TestDisturbed(t *testing.T) {
	t.Parallel()
	first := configMap("one", "1") + configMap("two", "2") + deployment("web", image, sleep)
	second := configMap("one", "changed") + configMap("three", "3") + deployment("web", image, sleep+"0")

	// sometimes does something to every nth request that matches.
	sometimes := func(n int64, match func(*http.Request) bool, do func(http.ResponseWriter, *http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
		var count atomic.Int64
		return func(w http.ResponseWriter, r *http.Request) bool {
			return match(r) && count.Add(1)%n == 1 && do(w, r)
		}
	}
	object := func(r *http.Request) bool {
		return isWrite(r) && !strings.Contains(r.URL.Path, "/configmaps/app") && !strings.Contains(r.URL.Path, "/leases") && !strings.Contains(r.URL.Path, "/secrets")
	}
	busy := func(code int, reason metav1.StatusReason) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Retry-After", "1")
			answer(w, code, reason, "busy")
			return true
		}
	}
	cut := func(w http.ResponseWriter, _ *http.Request) bool {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			conn.Close()
		}
		return true
	}
	for name, disturb := range map[string]func(x *apiProxy) func(http.ResponseWriter, *http.Request) bool{
		"429": func(*apiProxy) func(http.ResponseWriter, *http.Request) bool {
			return sometimes(3, isWrite, busy(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests))
		},
		"503": func(*apiProxy) func(http.ResponseWriter, *http.Request) bool {
			return sometimes(3, object, busy(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable))
		},
		"etcd without leader": func(*apiProxy) func(http.ResponseWriter, *http.Request) bool {
			return sometimes(3, object, func(w http.ResponseWriter, _ *http.Request) bool {
				answer(w, http.StatusInternalServerError, metav1.StatusReasonUnknown, "etcdserver: leader changed")
				return true
			})
		},
		"conflicts": func(*apiProxy) func(http.ResponseWriter, *http.Request) bool {
			return sometimes(2, func(r *http.Request) bool { return object(r) && r.Method == http.MethodPut }, func(w http.ResponseWriter, _ *http.Request) bool {
				answer(w, http.StatusConflict, metav1.StatusReasonConflict, "the object has been modified")
				return true
			})
		},
		"cut before": func(*apiProxy) func(http.ResponseWriter, *http.Request) bool {
			return sometimes(3, object, cut)
		},
		"cut after": func(x *apiProxy) func(http.ResponseWriter, *http.Request) bool {
			// The server does what it was asked for, and its answer is lost.
			return sometimes(3, object, func(w http.ResponseWriter, r *http.Request) bool {
				x.next.ServeHTTP(&lost{header: http.Header{}}, r)
				return cut(w, r)
			})
		},
		"watches cut": func(x *apiProxy) func(http.ResponseWriter, *http.Request) bool {
			return func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Query().Get("watch") == "" {
					return false
				}
				ctx, cancel := context.WithTimeout(r.Context(), time.Second)
				defer cancel()
				x.next.ServeHTTP(w, r.WithContext(ctx))
				return true
			}
		},
		"server away": func(x *apiProxy) func(http.ResponseWriter, *http.Request) bool {
			var writes atomic.Int64
			var until atomic.Pointer[time.Time]
			return func(w http.ResponseWriter, r *http.Request) bool {
				if object(r) && writes.Add(1) == 2 {
					back := time.Now().Add(3 * time.Second)
					until.Store(&back)
				}
				if back := until.Load(); back != nil && time.Now().Before(*back) && object(r) {
					return cut(w, r)
				}
				return false
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			proxy := p.proxied()
			proxy.set(disturb(proxy))
			p.deploy("", first)
			p.deploy("", second)
			if got := p.configMap("one"); got == nil || got.Data["value"] != "changed" || p.configMap("two") != nil || p.configMap("three") == nil {
				t.Error("the cluster isn't as the manifests say")
			}
			proxy.set(nil)
			if changes := p.plan("", second); len(changes) > 0 {
				t.Errorf("changes are left: %v", changes)
			}
			proxy.set(disturb(proxy))
			p.delete()
			if p.configMap("one") != nil || p.configMap("app") != nil {
				t.Error("something is left after the delete")
			}
		})
	}
}

// lost takes an answer that nobody gets.
type lost struct{ header http.Header }

func (l *lost) Header() http.Header         { return l.header }
func (l *lost) Write(p []byte) (int, error) { return len(p), nil }
func (l *lost) WriteHeader(int)             {}

// TestStuckFinalizer checks that what keeps an object from going is named.
func TestStuckFinalizer(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	stuck := strings.Replace(configMap("stuck", "1"), "name: stuck", "name: stuck, finalizers: [example.com/never]", 1)
	p.deploy("", stuck+configMap("other", "1"))
	p.fails(`rawOptions: ["--wait-timeout=2s"]`, configMap("other", "1"),
		"configmap/stuck (namespace "+p.namespace+") isn't gone after 2s", "example.com/never")
	patch := []byte(`{"metadata":{"finalizers":null}}`)
	if _, err := p.core.CoreV1().ConfigMaps(p.namespace).Patch(t.Context(), "stuck", apitypes.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	p.deploy("", configMap("other", "1"))
	if p.configMap("stuck") != nil {
		t.Error("the object is still there")
	}
}

// TestTerminatingNamespace checks that nothing is begun in a namespace that is being deleted.
func TestTerminatingNamespace(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	name := p.namespace + "-going"
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := p.core.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	held := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "held", Finalizers: []string{"example.com/never"}}}
	if _, err := p.core.CoreV1().ConfigMaps(name).Create(t.Context(), held, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		patch := []byte(`{"metadata":{"finalizers":null}}`)
		_, _ = p.core.CoreV1().ConfigMaps(name).Patch(context.Background(), "held", apitypes.MergePatchType, patch, metav1.PatchOptions{})
	})
	if err := p.core.CoreV1().Namespaces().Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	p.fails("", configMap("fine", "1")+strings.Replace(configMap("late", "1"), "name: late", "name: late, namespace: "+name, 1),
		"namespace "+name+" is being deleted, needed by configmap/late", "wait until it is gone")
	if w := p.writes(began); len(w) > 0 {
		t.Errorf("wrote: %v", w)
	}
}

// TestMissingRight checks that a right that is missing for one kind is found before the first write.
func TestMissingRight(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.addDeployer("narrow")
	p.app.ServiceAccountName = "narrow"
	began := time.Now()
	secret := "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: b}\n"
	p.fails("", configMap("fine", "1")+secret,
		"secret/s (namespace "+p.namespace+") can't be applied: the deploying identity has no right to create secrets in namespace "+p.namespace, hintForbidden)
	for _, w := range p.writes(began) {
		if !strings.Contains(w, "/serviceaccounts/narrow/token") {
			t.Errorf("wrote: %s", w)
		}
	}
}

// TestTooLarge checks that an object that can't be stored is found before the first write.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	began := time.Now()
	p.fails("", configMap("fine", "1")+configMap("huge", strings.Repeat("x", 1600<<10)), "configmap/huge (namespace "+p.namespace+") has 16", "split it")
	if w := p.writes(began); len(w) > 0 {
		t.Errorf("wrote: %v", w)
	}
	// What the server refuses for its size by itself is named, too.
	p.fails("", configMap("fine", "1")+configMap("large", strings.Repeat("x", 1100<<10)), "configmap/large (namespace "+p.namespace+") can't be created", "Too long")
}

// TestWebhook checks that a webhook that doesn't answer is waited for as long as it may take, and named
// then.
func TestWebhook(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	fail, none, second := admission.Fail, admission.SideEffectClassNone, int32(1)
	url := "https://192.0.2.1/never"
	hook := &admission.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: p.namespace},
		Webhooks: []admission.ValidatingWebhook{{
			Name: "silent.example.com", FailurePolicy: &fail, SideEffects: &none, TimeoutSeconds: &second,
			AdmissionReviewVersions: []string{"v1"},
			ClientConfig:            admission.WebhookClientConfig{URL: &url},
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": p.namespace}},
			ObjectSelector:          &metav1.LabelSelector{MatchLabels: map[string]string{"slow": "yes"}},
			Rules: []admission.RuleWithOperations{{
				Operations: []admission.OperationType{admission.Create},
				Rule:       admission.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
			}},
		}},
	}
	api := p.core.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	if _, err := api.Create(t.Context(), hook, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	remove := func() { _ = api.Delete(context.Background(), p.namespace, metav1.DeleteOptions{}) }
	t.Cleanup(remove)
	time.Sleep(time.Second) // until the API server has heard of it
	slow := strings.Replace(configMap("slow", "1"), "name: slow", "name: slow, labels: {slow: \"yes\"}", 1)
	p.fails(`rawOptions: ["--apply-timeout=2s"]`, configMap("fine", "1")+slow,
		"configmap/slow (namespace "+p.namespace+") can't be created", `failed calling webhook "silent.example.com"`)
	go func() {
		time.Sleep(3 * time.Second)
		remove()
	}()
	p.deploy("", configMap("fine", "1")+slow)
}

// gadgets defines a type in a group of the place's own, and has an object of it.
func (p *place) gadgets() (group, manifests string) {
	group = p.namespace + ".example.com"
	return group, fmt.Sprintf(`
apiVersion: %[1]s/v1
kind: Gadget
metadata: {name: g}
spec: {size: 1}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.%[1]s}
spec:
  group: %[1]s
  scope: Namespaced
  names: {kind: Gadget, plural: gadgets, singular: gadget}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
`, group)
}

// TestNewType deploys a type and objects of it in one set, and removes them again.
func TestNewType(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, manifests := p.gadgets()
	p.deploy("", manifests)
	if result, _, err := p.run("", manifests); err != nil || result.Skipped == "" {
		t.Errorf("second deploy: %+v, %v", result, err)
	}
	p.delete()
}

// TestSlowType deploys a type that is established before the server lists it, and listed before it is served.
func TestSlowType(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	group, manifests := p.gadgets()
	proxy := p.proxied()
	var (
		mu               sync.Mutex
		before           = map[string]*httptest.ResponseRecorder{}
		defined          bool
		listing, serving = 3, 2
	)
	proxy.set(func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/customresourcedefinitions"):
			defined = true
		case r.URL.Path == "/apis" && !defined:
			old := httptest.NewRecorder()
			proxy.next.ServeHTTP(old, r)
			before[r.Header.Get("Accept")] = old
			replay(w, old)
			return true
		case r.URL.Path == "/apis" && listing > 0 && before[r.Header.Get("Accept")] != nil:
			listing--
			replay(w, before[r.Header.Get("Accept")])
			return true
		case r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/apis/"+group+"/") && serving > 0:
			serving--
			http.Error(w, "404 page not found", http.StatusNotFound)
			return true
		}
		return false
	})
	p.deploy("", manifests)
	mu.Lock()
	defer mu.Unlock()
	if listing > 0 || serving > 0 {
		t.Errorf("the server was asked too little: %d old lists and %d refusals are left", listing, serving)
	}
	proxy.set(nil)
	p.delete()
}

// replay gives an answer again.
func replay(w http.ResponseWriter, old *httptest.ResponseRecorder) {
	maps.Copy(w.Header(), old.Header())
	w.WriteHeader(old.Code)
	_, _ = w.Write(old.Body.Bytes())
}

// TestPreflight turns kapp's own checks on.
func TestPreflight(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	definition := func(properties string) string {
		group := p.namespace + ".example.com"
		return fmt.Sprintf("apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: gadgets.%[1]s}\nspec:\n  group: %[1]s\n  scope: Namespaced\n  names: {kind: Gadget, plural: gadgets, singular: gadget}\n  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: %[2]s}}}]\n", group, properties)
	}
	p.deploy("", definition("{spec: {type: object, properties: {size: {type: integer}, colour: {type: string}}}}"))
	narrowed := definition("{spec: {type: object, properties: {size: {type: integer}}}}")
	p.fails(`rawOptions: ["--preflight=CRDUpgradeSafety"]`, narrowed, "colour")
	p.deploy("", narrowed)
	p.delete()

	p.addDeployer("narrow")
	p.app.ServiceAccountName = "narrow"
	p.deploy(`rawOptions: ["--preflight=PermissionValidation"]`, configMap("fine", "1"))
}
