package kapp

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apitypes "k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"strake.dev/strake/internal/kube"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

func TestMain(m *testing.M) {
	kube.Quiet()
	if namespace := os.Getenv(childKey); namespace != "" {
		if err := deployAsChild(namespace); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
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
	// agent names the test's requests in the audit log.
	agent string
	deps  Deps
	app   stages.App
	// kubeconfig is what kapp uses instead of the environment's, if it is set.
	kubeconfig string
	// label is the value of the app's label, if it was ever looked at.
	label string
}

// newPlace makes a namespace that is deleted at the end of the test.
func newPlace(t testing.TB) *place {
	t.Helper()
	if os.Getenv("KUBECONFIG") == "" {
		t.Skip("needs a Kubernetes cluster: set KUBECONFIG, or let “make test” start the sandbox")
	}
	id := time.Now().UnixNano() % 1e10
	p := &place{t: t, namespace: fmt.Sprintf("kapp-%d", id), agent: fmt.Sprintf("strake-test-%d", id)}
	config, err := kube.New(kube.Options{}).Config(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if p.core, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	p.deps.Cluster = kube.New(kube.Options{UserAgent: p.agent})
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
	return stagetest.NewJob(p.t, stagetest.Case{App: p.app, Manifests: manifests})
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

// deploy deploys what has to succeed.
func (p *place) deploy(config, manifests string) []stages.Event {
	p.t.Helper()
	_, events, err := p.run(config, manifests)
	if err != nil {
		p.t.Fatal(err)
	}
	return events
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
	if err == nil {
		p.t.Fatalf("expected an error with %q, found none", want)
	}
	whole := err.Error() + "\nhint: " + stages.Hint(err)
	for _, w := range want {
		if !strings.Contains(whole, w) {
			p.t.Errorf("expected an error with %q, found:\n%s", w, whole)
		}
	}
	return err
}

// writes are the requests in the audit log that the plugin made since a time and that change
// something. The audit log is of the sandbox; without it the test stops here.
func (p *place) writes(since time.Time) []string {
	p.t.Helper()
	name := os.Getenv("STRAKE_SANDBOX_AUDIT_LOG")
	if name == "" {
		p.t.Skip("needs the sandbox's audit log: set STRAKE_SANDBOX_AUDIT_LOG")
	}
	// A write of our own shows that the log is complete up to it.
	canary := fmt.Sprintf("/api/v1/namespaces/%s?canary=%d", p.namespace, time.Now().UnixNano())
	config, err := p.deps.Cluster.Config(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	core, err := kubernetes.NewForConfig(config)
	if err != nil {
		p.t.Fatal(err)
	}
	err = core.CoreV1().RESTClient().Patch(apitypes.MergePatchType).RequestURI(canary).Body([]byte("{}")).Do(p.t.Context()).Error()
	if err != nil {
		p.t.Fatal(err)
	}
	for range 50 {
		found, complete := readAudit(p.t, name, p.agent, since, canary)
		if complete {
			return found
		}
		time.Sleep(100 * time.Millisecond)
	}
	p.t.Fatal("the audit log lacks a write that was made")
	return nil
}

// readAudit reads the log until the canary, which isn't among what it returns.
func readAudit(t testing.TB, name, agent string, since time.Time, canary string) (found []string, complete bool) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e struct {
			UserAgent, Verb, RequestURI string
			RequestReceivedTimestamp    time.Time
		}
		if json.Unmarshal(lines.Bytes(), &e) != nil || e.UserAgent != agent || e.RequestReceivedTimestamp.Before(since) {
			continue
		}
		switch {
		case e.RequestURI == canary:
			return found, true
		case strings.Contains(e.RequestURI, "/authorization.k8s.io/"): // a question, though made by a POST
		case strings.Contains(e.RequestURI, "?canary="), slices.Contains([]string{"get", "list", "watch"}, e.Verb):
		default:
			found = append(found, e.Verb+" "+e.RequestURI)
		}
	}
	return found, false
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

// made lists the changes among events, in order of their text.
func made(events []stages.Event) []string {
	var found []string
	for _, e := range events {
		if e.Type == stages.ChangeMade {
			found = append(found, fmt.Sprintf("%s %s %s", e.Change.Op, e.Change.Kind, e.Change.Name))
		}
	}
	return sorted(found)
}

func sorted(texts []string) []string {
	slices.Sort(texts)
	return texts
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
