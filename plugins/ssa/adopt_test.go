package ssa

import (
	"errors"
	"strings"
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
