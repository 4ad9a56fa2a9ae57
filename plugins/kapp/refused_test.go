package kapp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"strake.dev/strake/stages"
)

// TestFindings checks that what is bound to fail is found before anything is written.
func TestFindings(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	began := time.Now()
	in := func(namespace, manifest string) string {
		return strings.Replace(manifest, "metadata: {", "metadata: {namespace: "+namespace+", ", 1)
	}
	missing := p.namespace + "-missing"
	p.fails("", configMap("fine", "1")+in(missing, configMap("lost", "1"))+
		"---\napiVersion: apps/v9\nkind: Deployment\nmetadata: {name: old}\n"+
		"---\napiVersion: example.com/v1\nkind: Gadget\nmetadata: {name: g}\n",
		"namespace "+missing+" doesn't exist, needed by configmap/lost",
		"deployment/old can't be applied: the cluster has no Deployment in apps/v9, but in apps/v1",
		"gadget/g can't be applied: the cluster has no Gadget in example.com/v1",
		"kubectl create namespace "+missing, "CustomResourceDefinition installed?")
	p.fails("", "---\napiVersion: v1\nkind: ConfigMap\ndata: {}\n", "expected 'metadata.name' on resource", "doc 1")
	p.fails("", "a: [\n", "manifests: ")
	p.fails("", "# nothing\n", "the manifests hold no object", "strake delete")
	p.fails("", configMap("twice", "1")+configMap("twice", "2"), "configmap/twice")
	p.fails("mapNs: [elsewhere=here]", configMap("fine", "1"), "expected to find mapped namespace for '"+p.namespace+"'")
	p.app.Namespace = missing
	p.fails("", configMap("fine", "1"), "namespace "+missing+" doesn't exist, needed by configmap/fine", "kubectl create namespace "+missing)
	p.fails("", "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: "+missing+"-2}\n",
		"namespace "+missing+" doesn't exist, and the record of the app goes there")
	if _, _, err := p.step("").(stages.Planner).Plan(t.Context(), p.job(configMap("fine", "1"))); err == nil {
		t.Error("plan for a missing namespace: expected an error")
	}
	p.app.Namespace = p.namespace
	if w := p.writes(began); len(w) > 0 {
		t.Errorf("what was refused wrote: %v", w)
	}
}

// TestRefused checks what is said when the API server refuses an object.
func TestRefused(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deploy("", deployment("web", image, sleep)+configMap("cm", "1"))
	p.fails("", strings.Replace(deployment("web", image, sleep), "app: web}}", "app: other}}", 2)+configMap("cm", "1"),
		"deployment/web (namespace "+p.namespace+") can't be updated: ", "spec.selector: field is immutable", "fallback-on-replace")
	p.fails("", configMap("cm", "1")+"---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 99999999}]}\n",
		"service/s (namespace "+p.namespace+") can't be created: spec.ports[0].port")
	p.fails("", configMap("cm", "1")+"---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: nonsense}\n",
		"service/s (namespace "+p.namespace+") can't be created: ")

	other := *p
	other.app.Name = "other"
	other.fails("", configMap("cm", "2")+configMap("free", "1"),
		"configmap/cm (namespace "+p.namespace+") belongs to the app app in namespace "+p.namespace+" already", "--dangerous-override-ownership")
	if p.configMap("free") != nil {
		t.Error("an object was made although another one is owned by somebody else")
	}
}

// TestWaitTimeout checks that a wait that takes too long is a time-out with the reason.
func TestWaitTimeout(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		manifest string
		want     []string
	}{
		"image pull": {
			manifest: deployment("web", "docker.io/library/there-is-no-such-image:1", sleep),
			want:     []string{"Waiting for 1 unavailable replica", "container main: ", "ImagePull", "there-is-no-such-image"},
		},
		"crash": {
			manifest: strings.Replace(deployment("web", image, "echo reading config; echo no such file: /etc/app.conf; exit 3"),
				"spec:", "spec:\n  minReadySeconds: 60", 1),
			want: []string{"container main ended with exit code 3 (Error)", "its last lines:\n    | reading config\n    | no such file: /etc/app.conf"},
		},
		"unschedulable": {
			manifest: strings.Replace(deployment("web", image, sleep), "containers:", "nodeSelector: {no: where}\n      containers:", 1),
			want:     []string{"not scheduled: 0/1 nodes are available"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			want := append(c.want, "deployment/web (namespace "+p.namespace+") isn't ready after 30s", "--wait-timeout=30m")
			err := p.failure(`rawOptions: ["--wait-timeout=30s"]`, c.manifest, want...)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("not recognizable as a time-out: %v", err)
			}
		})
	}
}

// TestFailedJob checks that a wait that can't succeed ends at once, with the reason.
func TestFailedJob(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	job := fmt.Sprintf(`
apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
      - {name: main, image: %q, command: [sh, -c, "echo table is locked; exit 7"]}
`, image)
	err := p.failure("", job, "job/migrate (namespace "+p.namespace+") failed: ", "BackoffLimitExceeded", "exit code 7", "| table is locked")
	if errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("looks like a time-out: %v", err)
	}
}
