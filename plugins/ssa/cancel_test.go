package ssa

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"strake.dev/strake/stages"
)

// cancelAt ends a context at the first event that matches.
type cancelAt struct {
	match  func(stages.Event) bool
	cancel context.CancelFunc
	once   sync.Once
	at     time.Time
}

func (c *cancelAt) Observe(e stages.Event) {
	if c.match(e) {
		c.once.Do(func() { c.at = time.Now(); c.cancel() })
	}
}

// TestCancel ends deploys at several points. Each returns soon, leaves no lock, forgets nothing, and the
// next one finishes the work.
func TestCancel(t *testing.T) {
	t.Parallel()
	for name, match := range map[string]func(stages.Event) bool{
		"at the first event": func(stages.Event) bool { return true },
		"in a wait": func(e stages.Event) bool {
			return e.Type == stages.TaskUpdate && strings.HasPrefix(e.Task.Name, "deployment/") && e.Task.Detail != ""
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			manifests := configMap("one", "1") + configMap("two", "2") + deployment("web", image, sleep)
			// The deployment never becomes ready before the test cancels.
			slow := strings.Replace(manifests, "spec:", "spec:\n  minReadySeconds: 60", 1)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			at := &cancelAt{match: match, cancel: cancel}
			job := p.job(slow)
			job.Events = at
			_, err := p.step("").Run(ctx, job)
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("expected context.Canceled, found %v", err)
			}
			if took := time.Since(at.at); took > 3*time.Second {
				t.Errorf("returned %s after the cancel", took)
			}
			if name == "in a wait" && !strings.Contains(err.Error(), "while waiting for deployment/web (namespace "+p.namespace+"): ") {
				t.Errorf("error doesn't say what was waited for: %v", err)
			}
			p.complete()
			leases, err := p.core.CoordinationV1().Leases(p.namespace).List(t.Context(), metav1.ListOptions{})
			if err != nil || len(leases.Items) > 0 {
				t.Errorf("the app is still locked: %v, %v", leases.Items, err)
			}
			p.deploy("", manifests)
			p.nothing("", manifests)
		})
	}
}
