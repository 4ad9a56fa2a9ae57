package ssa

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"strake.dev/strake/internal/kube"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

func TestMain(m *testing.M) {
	kube.Quiet()
	if os.Getenv(childEnv) != "" {
		child()
		return
	}
	flag.Parse()
	// The tests spend their time waiting for the cluster.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	m.Run()
}

// A place is a namespace of the real cluster, for one test.
type place struct {
	t         testing.TB
	namespace string
	core      kubernetes.Interface
	dynamic   dynamic.Interface
	deps      Deps
	app       stages.App
	limits    stages.Limits
}

var places atomic.Int64

// newPlace makes a namespace that is deleted at the end of the test.
func newPlace(t testing.TB) *place {
	t.Helper()
	if os.Getenv("KUBECONFIG") == "" {
		t.Skip("needs a Kubernetes cluster: set KUBECONFIG, or let “make test” start the sandbox")
	}
	id := fmt.Sprintf("%d-%d", time.Now().UnixNano()%1e9, places.Add(1))
	p := &place{t: t, namespace: "ssa-" + id}
	config, err := kube.New(kube.Options{}).Config(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if p.core, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	if p.dynamic, err = dynamic.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	p.deps.Cluster = kube.New(kube.Options{})
	p.app = stages.App{Name: "app", Namespace: p.namespace}
	p.addNamespace(p.namespace)
	return p
}

func (p *place) addNamespace(name string) {
	p.t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := p.core.CoreV1().Namespaces().Create(p.t.Context(), ns, metav1.CreateOptions{}); err != nil {
		p.t.Fatal(err)
	}
	p.removeLater(name)
}

func (p *place) removeLater(namespace string) {
	p.t.Cleanup(func() {
		_ = p.core.CoreV1().Namespaces().Delete(context.Background(), namespace, metav1.DeleteOptions{})
	})
}

func (p *place) job(manifests string) *stages.Job {
	p.t.Helper()
	job := stagetest.NewJob(p.t, stagetest.Case{App: p.app, Manifests: manifests})
	job.Limits, job.Rendered, job.Version = p.limits, "manifests.yaml", "strake test"
	return job
}

func (p *place) step(config string) stages.Step {
	p.t.Helper()
	return stagetest.Bind(p.t, Plugin(p.deps), config)
}

// run deploys and returns the events.
func (p *place) run(config, manifests string) (stages.Result, []stages.Event, error) {
	p.t.Helper()
	job := p.job(manifests)
	result, err := p.step(config).Run(p.t.Context(), job)
	return result, stagetest.Recorded(job).Events(), err
}

// deploy deploys what has to succeed, and returns the changes.
func (p *place) deploy(config, manifests string) []string {
	p.t.Helper()
	_, events, err := p.run(config, manifests)
	if err != nil {
		p.t.Fatalf("%v\nhint: %s", err, stages.Hint(err))
	}
	return made(events)
}

// nothing deploys what has to change nothing.
func (p *place) nothing(config, manifests string) {
	p.t.Helper()
	result, events, err := p.run(config, manifests)
	if err != nil || result.Skipped == "" || len(made(events)) > 0 {
		p.t.Fatalf("expected nothing to do, found %+v, %v, %v", result, made(events), err)
	}
}

func (p *place) plan(config, manifests string) []stages.Change {
	p.t.Helper()
	_, changes, err := p.step(config).(stages.Planner).Plan(p.t.Context(), p.job(manifests))
	if err != nil {
		p.t.Fatal(err)
	}
	return changes
}

func (p *place) delete() {
	p.t.Helper()
	if err := p.step("").(stages.Deleter).Delete(p.t.Context(), p.job("")); err != nil {
		p.t.Fatal(err)
	}
}

// fails deploys what has to fail, with each of the texts in error or hint.
func (p *place) fails(config, manifests string, want ...string) {
	p.t.Helper()
	_ = p.failure(config, manifests, want...)
}

// failure is fails for those who want to know more about the error.
func (p *place) failure(config, manifests string, want ...string) error {
	p.t.Helper()
	_, _, err := p.run(config, manifests)
	p.says(err, want...)
	return err
}

func (p *place) says(err error, want ...string) {
	p.t.Helper()
	if err == nil {
		p.t.Fatalf("expected an error with %q, found none", want)
	}
	whole := err.Error() + "\nhint: " + stages.Hint(err)
	for _, w := range want {
		if !strings.Contains(whole, w) {
			p.t.Errorf("expected an error with %q, found:\n%s", w, whole)
		}
	}
}

// configMap returns a ConfigMap of the namespace; nil if there is none.
func (p *place) configMap(name string) *corev1.ConfigMap {
	p.t.Helper()
	m, err := p.core.CoreV1().ConfigMaps(p.namespace).Get(p.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		return nil
	}
	return m
}

// inventory is the app's stored inventory.
func (p *place) inventory() *inventory {
	p.t.Helper()
	inv, err := readInventory(p.configMap(inventoryPrefix + p.app.Name))
	if err != nil {
		p.t.Fatal(err)
	}
	return inv
}

// made lists the changes among events, in order of their text.
func made(events []stages.Event) []string {
	var found []string
	for _, e := range events {
		if e.Type == stages.ChangeMade {
			found = append(found, fmt.Sprintf("%s %s %s", e.Change.Op, e.Change.Kind, e.Change.Name))
		}
	}
	slices.Sort(found)
	return found
}

// told lists planned changes, as made does.
func told(changes []stages.Change) []string {
	var found []string
	for _, c := range changes {
		found = append(found, fmt.Sprintf("%s %s %s", c.Op, c.Kind, c.Name))
	}
	slices.Sort(found)
	return found
}

// image is one that the sandbox's registry has.
const image = "docker.io/library/busybox:latest"

func configMap(name, value string) string {
	return fmt.Sprintf("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {value: %q}\n", name, value)
}

func deployment(name, image, script string) string {
	return fmt.Sprintf(`---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - {name: main, image: %[2]q, command: [sh, -c, %[3]q]}
`, name, image, script)
}
