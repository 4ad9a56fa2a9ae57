package ssa

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"strake.dev/strake/stages"
)

// TestAdoptForeign takes over nothing when an object of kapp's app belongs to a third, and leaves objects
// that a controller has made.
func TestAdoptForeign(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	create := func(m *corev1.ConfigMap) {
		t.Helper()
		if _, err := p.core.CoreV1().ConfigMaps(p.namespace).Create(t.Context(), m, metav1.CreateOptions{FieldManager: "kapp"}); err != nil {
			t.Fatal(err)
		}
	}
	yes := true
	marks := map[string]string{kappLabel: "123"}
	create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "app"}, Data: map[string]string{"spec": `{"labelKey":"` + kappLabel + `","labelValue":"123","usedGKs":[{"Group":"","Kind":"ConfigMap"}]}`}})
	create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "own", Labels: marks}})
	create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "made", Labels: marks, OwnerReferences: []metav1.OwnerReference{
		{APIVersion: "v1", Kind: "ConfigMap", Name: "own", UID: p.configMap("own").UID, Controller: &yes},
	}}})
	create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "third", Labels: map[string]string{kappLabel: "123", ownerName: "other", ownerNamespace: p.namespace}}})
	adopt := func(how stages.Adoption) ([]stages.Change, error) {
		return p.step("").(stages.Adopter).Adopt(t.Context(), p.job(""), how)
	}
	_, err := adopt(stages.Adoption{From: "kapp"})
	if _, refused := errors.AsType[*stages.RefusedError](err); !refused || !strings.Contains(err.Error(), "configmap/third (namespace "+p.namespace+") belongs to inventory other") {
		t.Errorf("a third's object: %v", err)
	}
	if p.configMap("inv-app") != nil || p.configMap("own").Labels[ownerName] != "" {
		t.Error("something was written")
	}
	if err := p.core.CoreV1().ConfigMaps(p.namespace).Delete(t.Context(), "third", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	changes, err := adopt(stages.Adoption{From: "kapp"})
	if got := strings.Join(told(changes), ","); err != nil || got != "update ConfigMap own" {
		t.Errorf("adopted %s, %v", got, err)
	}
	if m := p.configMap("own"); m.Labels[ownerName] != "app" || m.Labels[kappLabel] != "" || p.configMap("app") != nil {
		t.Errorf("labels %v", m.Labels)
	}
	p.nothing("", "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: own}\n")
}

// TestAdoptCutOff lets the server refuse everything after some writes, and adopts again: all of it is taken
// over then, and kapp's record is gone last.
func TestAdoptCutOff(t *testing.T) {
	t.Parallel()
	const objects, most = 3, 8
	for cut := range most {
		t.Run(strconv.Itoa(cut), func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			create := func(m *corev1.ConfigMap) {
				t.Helper()
				if _, err := p.core.CoreV1().ConfigMaps(p.namespace).Create(t.Context(), m, metav1.CreateOptions{FieldManager: "kapp"}); err != nil {
					t.Fatal(err)
				}
			}
			create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "app"}, Data: map[string]string{"spec": `{"labelKey":"` + kappLabel + `","labelValue":"` + p.namespace + `","usedGKs":[{"Group":"","Kind":"ConfigMap"}]}`}})
			manifests := ""
			for n := range objects {
				name := "own" + strconv.Itoa(n)
				create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{kappLabel: p.namespace}}})
				manifests += "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\n"
			}
			writes := new(atomic.Int64)
			whole := p.deps.Cluster
			p.deps.Cluster = clusterThrough(t, func(next http.RoundTripper) http.RoundTripper { return cutOff{next, writes, int64(cut)} })
			_, err := p.step("").(stages.Adopter).Adopt(t.Context(), p.job(""), stages.Adoption{From: "kapp"})
			if err == nil && writes.Load() > int64(cut) {
				t.Fatal("nothing failed")
			}
			if p.configMap("app") == nil && err != nil {
				t.Errorf("kapp's record is gone, and not all was taken over: %v", err)
			}
			p.deps.Cluster = whole
			if err != nil {
				if _, err := p.step("").(stages.Adopter).Adopt(t.Context(), p.job(""), stages.Adoption{From: "kapp"}); err != nil {
					t.Fatalf("the second time: %v", err)
				}
			}
			for n := range objects {
				if m := p.configMap("own" + strconv.Itoa(n)); m.Labels[ownerName] != "app" || m.Labels[kappLabel] != "" {
					t.Errorf("labels %v", m.Labels)
				}
			}
			if p.configMap("app") != nil {
				t.Error("kapp's record is there still")
			}
			p.nothing("", manifests)
		})
	}
}

// cutOff refuses writes after the first ones.
type cutOff struct {
	next   http.RoundTripper
	writes *atomic.Int64
	after  int64
}

func (c cutOff) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet || r.URL.Query().Has("dryRun") || strings.Contains(r.URL.Path, "/leases") || strings.Contains(r.URL.Path, "/selfsubject") || c.writes.Add(1) <= c.after {
		return c.next.RoundTrip(r)
	}
	body := `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"cut off"}`
	return &http.Response{StatusCode: http.StatusForbidden, Status: "403 Forbidden", Header: http.Header{"Content-Type": {"application/json"}}, Body: reader(body), Request: r}, nil
}
