package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	kappctrl "github.com/vmware-tanzu/carvel-kapp-controller/pkg/apis/kappctrl/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// What --output app prints is an App as kapp-controller's own types have it, with the status that it
// would have written.
func TestAppStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.grantAdmin("default")
	write := func(data string) {
		w.write("cr.yaml", fmt.Sprintf(`apiVersion: kappctrl.k14s.io/v1alpha1
kind: App
metadata: {name: status, namespace: %s, generation: 5}
spec:
  serviceAccountName: default
  fetch:
  - inline: {paths: {cm.yml: '{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: %s}'}}
  template:
  - ytt: {}
  deploy:
  - kapp: {inspect: {}}
`, w.namespace, data))
	}
	run := func(code int) (app kappctrl.App) {
		t.Helper()
		o := w.strake("run", "-f", "cr.yaml", "-o", "app", "--progress", "none")
		if o.code != code {
			t.Fatalf("exit code %d, want %d: %s", o.code, code, o)
		}
		if err := yaml.UnmarshalStrict([]byte(o.stdout), &app); err != nil {
			t.Fatalf("%v: %s", err, o)
		}
		return app
	}

	write("{a: b}")
	s := run(0).Status
	if s.FriendlyDescription != "Reconcile succeeded" || s.ObservedGeneration != 5 || s.ManagedAppName != "status.app" || s.ConsecutiveReconcileSuccesses != 1 {
		t.Errorf("status is %+v", s.GenericStatus)
	}
	if want := "apiVersion: vendir.k14s.io/v1alpha1\ndirectories:\n- contents:\n  - inline: {}\n    path: .\n  path: \"0\"\nkind: LockConfig\n"; s.Fetch.Stdout != want {
		t.Errorf("fetch printed %q", s.Fetch.Stdout)
	}
	for _, want := range []string{" ---- applying 1 changes [0/1 done] ----\n", "create configmap/a (v1) namespace: " + w.namespace, "\nSucceeded\n"} {
		if !strings.Contains(s.Deploy.Stdout, want) {
			t.Errorf("no %q in what kapp printed:\n%s", want, s.Deploy.Stdout)
		}
	}
	if !s.Deploy.Finished || s.Deploy.StartedAt.IsZero() || s.Template.UpdatedAt.IsZero() {
		t.Errorf("deploy is %+v, template %+v", s.Deploy, s.Template)
	}
	found := s.Deploy.KappDeployStatus.AssociatedResources
	if !strings.HasPrefix(found.Label, "kapp.k14s.io/app=") {
		t.Errorf("label is %q", found.Label)
	}
	if diff := cmp.Diff([]string{w.namespace}, found.Namespaces) + cmp.Diff([]metav1.GroupKind{{Kind: "ConfigMap"}}, found.GroupKinds); diff != "" {
		t.Error(diff)
	}
	if !strings.HasPrefix(s.Inspect.Stdout, "Resources in app 'status.app'\n") || !strings.Contains(s.Inspect.Stdout, "ConfigMap") {
		t.Errorf("inspect printed %q", s.Inspect.Stdout)
	}

	// Nothing to do: the same, and kapp says so.
	s = run(0).Status
	if !strings.Contains(s.Deploy.Stdout, "Op:      0 create, 0 delete, 0 update, 0 noop, 0 exists") || s.Deploy.KappDeployStatus == nil {
		t.Errorf("second deploy: %+v", s.Deploy)
	}

	// What the API server refuses is the status's useful error.
	write("{a: [b]}")
	s = run(1).Status
	const message = "Deploying: Error (see .status.usefulErrorMessage for details)"
	if len(s.Conditions) != 1 || s.Conditions[0].Type != kappctrl.ReconcileFailed || s.Conditions[0].Message != message {
		t.Errorf("conditions are %+v", s.Conditions)
	}
	if s.FriendlyDescription != "Reconcile failed: "+message || s.Deploy.ExitCode != 1 || s.Deploy.Error != message || !strings.Contains(s.UsefulErrorMessage, "configmap/a") {
		t.Errorf("status is %+v, deploy %+v", s.GenericStatus, s.Deploy)
	}
}
