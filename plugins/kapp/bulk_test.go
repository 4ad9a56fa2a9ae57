package kapp

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"strake.dev/strake/stages"
)

// TestBulk deletes an app with many objects of a kind: by one request if all that have its label go, and
// one by one if somebody has put the label on another object, which stays.
func TestBulk(t *testing.T) {
	t.Parallel()
	var manifests strings.Builder
	for i := range 2 * few {
		manifests.WriteString(configMap(fmt.Sprintf("many-%d", i), "1"))
	}
	for name, stranger := range map[string]bool{"own": false, "with a stranger": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			p.deploy("", manifests.String())
			if stranger {
				label := map[string]string{"kapp.k14s.io/app": p.configMap("many-0").Labels["kapp.k14s.io/app"]}
				_, err := p.core.CoreV1().ConfigMaps(p.namespace).Create(t.Context(),
					&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "stranger", Labels: label}}, metav1.CreateOptions{})
				if err != nil {
					t.Fatal(err)
				}
			}
			began := time.Now()
			step := p.step(`delete: {rawOptions: ["--wait-timeout=2s"]}`)
			err := step.(stages.Deleter).Delete(t.Context(), p.job(""))
			single := 0
			for _, w := range p.writes(began) {
				if strings.HasPrefix(w, "delete ") && strings.Contains(w, "/configmaps/many-") {
					single++
				}
			}
			switch {
			case p.configMap("many-0") != nil:
				t.Error("an object is still there")
			case !stranger && (err != nil || single > 0):
				t.Errorf("%d were deleted singly, %v", single, err)
			case stranger && (err == nil || single != 2*few || p.configMap("stranger") == nil):
				t.Errorf("%d were deleted singly, the stranger is %v, %v", single, p.configMap("stranger"), err)
			}
		})
	}
}
