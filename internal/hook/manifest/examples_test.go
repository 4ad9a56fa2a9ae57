package manifest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"strake.dev/strake/internal/hook"
	"strake.dev/strake/internal/hook/manifest"
)

var update = flag.Bool("update", false, "write the files of examples/kapp-controller-hook")

const examples = "../../../examples/kapp-controller-hook/"

// The files of the example are what its README says that the command prints.
func TestExamples(t *testing.T) {
	policy, err := os.ReadFile(examples + "policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hook.ParsePolicy("policy.yaml", policy); err != nil {
		t.Fatal(err)
	}
	o := full
	o.Policy, o.TLSSecret, o.RegistrySecret = policy, "buildkit-client", "registry-push"
	for file, format := range map[string]string{
		"overlay.yaml": manifest.Ytt, "component/kustomization.yaml": manifest.Kustomize, "patch.yaml": manifest.Strategic,
	} {
		want := []byte(render(t, format, o))
		if *update {
			if err := os.WriteFile(examples+file, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(examples + file)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs from what the command prints (%v); go test -update writes it", file, err)
		}
	}
}

// cluster is the sandbox's Kubernetes.
func cluster(t *testing.T) dynamic.Interface {
	t.Helper()
	if os.Getenv("STRAKE_SANDBOX_NAME") == "" {
		t.Skip("needs the sandbox: STRAKE_SANDBOX_NAME is not set")
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

var resources = map[string]string{
	"Namespace": "namespaces", "ServiceAccount": "serviceaccounts", "ConfigMap": "configmaps", "Deployment": "deployments", "Service": "services",
	"NetworkPolicy": "networkpolicies", "Role": "roles", "RoleBinding": "rolebindings",
}

// apply applies an object server-side, in a namespace of the test's own.
func apply(t *testing.T, client dynamic.Interface, namespace, manager, text string, dryRun bool) (*unstructured.Unstructured, error) {
	t.Helper()
	var object unstructured.Unstructured
	if err := yaml.Unmarshal([]byte(text), &object.Object); err != nil {
		t.Fatal(err)
	}
	resource := schema.GroupVersionResource{
		Group: object.GroupVersionKind().Group, Version: object.GroupVersionKind().Version, Resource: resources[object.GetKind()],
	}
	options := metav1.PatchOptions{FieldManager: manager, FieldValidation: metav1.FieldValidationStrict}
	if dryRun {
		options.DryRun = []string{metav1.DryRunAll}
	}
	in := client.Resource(resource).Namespace(namespace)
	if object.GetKind() == "Namespace" {
		in = client.Resource(resource).Namespace("")
	} else {
		object.SetNamespace(namespace)
	}
	data, err := json.Marshal(object.Object)
	if err != nil {
		t.Fatal(err)
	}
	return in.Patch(t.Context(), object.GetName(), types.ApplyPatchType, data, options)
}

func namespaceFor(t *testing.T, client dynamic.Interface) string {
	t.Helper()
	namespaces := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"})
	object := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"generateName": "hook-manifest-"}}}
	made, err := namespaces.Create(t.Context(), object, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = namespaces.Delete(context.Background(), made.GetName(), metav1.DeleteOptions{}) })
	return made.GetName()
}

// A real API server takes the manifests, and makes of the stock Deployment what the patch says.
func TestServer(t *testing.T) {
	client := cluster(t)
	namespace := namespaceFor(t, client)
	// Nothing shall run.
	text := strings.Replace(string(stock(t)), "replicas: 1", "replicas: 0", 1)
	if _, err := apply(t, client, namespace, "kapp", text, false); err != nil {
		t.Fatal(err)
	}
	docs := []string{render(t, manifest.ConfigMap, full), render(t, manifest.Strategic, full)}
	var got *unstructured.Unstructured
	for range 2 {
		for _, doc := range docs {
			var err error
			if got, err = apply(t, client, namespace, "strake-hook", doc, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	data, err := json.Marshal(got.Object)
	if err != nil {
		t.Fatal(err)
	}
	var deployed appsv1.Deployment
	if err := json.Unmarshal(data, &deployed); err != nil {
		t.Fatal(err)
	}
	want := patched(t, docs[1]).Spec.Template.Spec
	pod := deployed.Spec.Template.Spec
	if len(pod.InitContainers) != 1 || len(pod.Containers) != 2 || len(pod.Volumes) != len(want.Volumes) {
		t.Fatalf("%+v", pod)
	}
	for i, c := range pod.Containers {
		w := want.Containers[i]
		if c.Name != w.Name || c.Image != w.Image || len(c.Env) != len(w.Env) || len(c.VolumeMounts) != len(w.VolumeMounts) {
			t.Errorf("container %s: %+v\nwant %+v", w.Name, c, w)
		}
	}
}

// The other manifests of the example are ones that a real API server takes.
func TestExampleObjects(t *testing.T) {
	client := cluster(t)
	namespace := namespaceFor(t, client)
	for _, file := range []string{"buildkitd.yaml", "buildkitd-rootless.yaml", "app.yaml", "app-rbac.yaml"} {
		text, err := os.ReadFile(examples + file)
		if err != nil {
			t.Fatal(err)
		}
		for doc := range strings.SplitSeq(string(text), "\n---\n") {
			if strings.Contains(doc, "kind: App\n") {
				continue // its kind is kapp-controller's
			}
			if _, err := apply(t, client, namespace, "test", doc, true); err != nil {
				t.Errorf("%s: %v\n%s", file, err, doc)
			}
		}
	}
}
