package kapp

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"strake.dev/strake/internal/lease"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

// TestTwoDeployers deploys the same app twice at once, with different manifests: one waits for the other,
// tells for whom, and finds the cluster as that has left it.
func TestTwoDeployers(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deploy("", configMap("one", "1"))
	slow := strings.Replace(deployment("web", image, sleep), "spec:\n", "spec:\n  minReadySeconds: 3\n", 1)
	first := make(chan error)
	go func() {
		_, _, err := p.run("", configMap("one", "1")+slow)
		first <- err
	}()
	api := p.core.CoordinationV1().Leases(p.namespace)
	for {
		found, err := api.List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(found.Items) == 1 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	_, events, err := p.run("", configMap("one", "2")+slow)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	var waited bool
	for _, e := range events {
		waited = waited || e.Type == stages.Warning && strings.Contains(e.Message, "app app in namespace "+p.namespace+" is being deployed by "+lease.Identity()+" since ")
	}
	if !waited {
		t.Errorf("nobody told of waiting: %v", events)
	}
	if p.configMap("one").Data["value"] != "2" {
		t.Error("the later deploy isn't what the cluster has")
	}
	if found, err := api.List(t.Context(), metav1.ListOptions{}); err != nil || len(found.Items) > 0 {
		t.Errorf("a lock is left: %v, %v", found, err)
	}
}

// TestHeldLock checks what is said when a lock isn't given up in time.
func TestHeldLock(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	held, err := lease.Acquire(t.Context(), p.core, lease.Options{
		Namespace: p.namespace, Name: "app" + lockSuffix, App: "the app", Identity: "somebody@elsewhere",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Release(context.Background()) }()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	job := p.job(configMap("one", "1"))
	_, err = p.step("").Run(ctx, job)
	var busy *stages.HeldError
	if !errors.As(err, &busy) || busy.Holder != "somebody@elsewhere" || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("expected the holder's name, found %v (%v)", err, stagetest.Recorded(job).Events())
	}
	if p.configMap("one") != nil {
		t.Error("it was deployed all the same")
	}
}
