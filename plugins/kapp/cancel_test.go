package kapp

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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

// TestCancel ends deploys at several points. Each returns soon, writes nothing from then on, and the
// next one finishes the work.
func TestCancel(t *testing.T) {
	t.Parallel()
	for name, match := range map[string]func(stages.Event) bool{
		"at the first event":  func(stages.Event) bool { return true },
		"at the first change": func(e stages.Event) bool { return e.Type == stages.ChangeMade },
		"in a wait": func(e stages.Event) bool {
			return e.Type == stages.TaskUpdate && strings.HasPrefix(e.Task.Name, "deployment/") && e.Task.Detail != ""
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			manifests := configMap("one", "1") + configMap("two", "2") + deployment("web", image, sleep)
			// The deployment never becomes ready before the test cancels.
			slow := strings.Replace(manifests, "spec:", "spec:\n  minReadySeconds: 3", 1)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			at := &cancelAt{match: match, cancel: cancel}
			job := p.job(slow)
			job.Events = at
			_, err := p.step("").Run(ctx, job)
			returned := time.Now()
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("expected context.Canceled, found %v", err)
			}
			if took := returned.Sub(at.at); took > 3*time.Second {
				t.Errorf("returned %s after the cancel", took)
			}
			if name == "in a wait" && !strings.Contains(err.Error(), "while waiting for deployment/web (namespace "+p.namespace+"): ") {
				t.Errorf("error doesn't say what was waited for: %v", err)
			}
			time.Sleep(time.Second)
			// What was on its way at the moment of the cancel may still be counted. The record is closed and
			// the lock given up after it.
			w := slices.DeleteFunc(p.writes(at.at.Add(100*time.Millisecond)), func(w string) bool {
				return strings.Contains(w, "/leases/app.app.strake.dev") || strings.Contains(w, "/configmaps/app?") || strings.Contains(w, "/configmaps/app-change-") || strings.Contains(w, "/secrets/app.strake.")
			})
			if len(w) > 0 {
				t.Errorf("wrote after the cancel: %v", w)
			}
			p.deploy("", manifests)
			if result, _, err := p.run("", manifests); err != nil || result.Skipped == "" {
				t.Errorf("didn't converge: %+v, %v", result, err)
			}
		})
	}
}

// TestDeadline checks that the end of the step's time says what was waited for.
func TestDeadline(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
	defer cancel()
	_, err := p.step("").Run(ctx, p.job(deployment("web", "docker.io/library/there-is-no-such-image:1", sleep)))
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "while waiting for deployment/web") {
		t.Errorf("expected an end of time with the object, found %v", err)
	}
}

func TestGuarded(t *testing.T) {
	err := guarded(func() error { panic("odd input") })
	if err == nil || !strings.Contains(err.Error(), "panic: odd input") {
		t.Errorf("expected the panic as an error, found %v", err)
	}
}
