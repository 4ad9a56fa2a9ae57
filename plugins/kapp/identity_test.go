package kapp

import (
	"context"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"strake.dev/strake/internal/kube"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

// addDeployer makes a service account that may only handle ConfigMaps, of its own namespace.
func (p *place) addDeployer(name string) {
	p.t.Helper()
	ctx, meta := p.t.Context(), metav1.ObjectMeta{Name: name}
	if _, err := p.core.CoreV1().ServiceAccounts(p.namespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta}, metav1.CreateOptions{}); err != nil {
		p.t.Fatal(err)
	}
	role := &rbac.Role{ObjectMeta: meta, Rules: []rbac.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"*"}}}}
	if _, err := p.core.RbacV1().Roles(p.namespace).Create(ctx, role, metav1.CreateOptions{}); err != nil {
		p.t.Fatal(err)
	}
	binding := &rbac.RoleBinding{
		ObjectMeta: meta, RoleRef: rbac.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "Role", Name: name},
		Subjects: []rbac.Subject{{Kind: "ServiceAccount", Name: name, Namespace: p.namespace}},
	}
	if _, err := p.core.RbacV1().RoleBindings(p.namespace).Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) check() error {
	p.t.Helper()
	return p.step("").(stages.Checker).Check(p.t.Context(), p.job(""))
}

func TestServiceAccount(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.app.ServiceAccountName = "deployer"
	if err := p.check(); err == nil || !strings.Contains(err.Error(), "service account deployer doesn't exist in namespace "+p.namespace) {
		t.Errorf("check without service account: %v", err)
	}
	p.addDeployer("deployer")
	if err := p.check(); err != nil {
		t.Errorf("check: %v", err)
	}
	p.deploy("", configMap("mine", "1"))
	result, _, err := p.run("", configMap("mine", "1"))
	if err != nil || result.Skipped == "" {
		t.Errorf("second deploy: %+v, %v", result, err)
	}
	p.fails("", configMap("mine", "2")+deployment("web", image, sleep),
		"deployment/web (namespace "+p.namespace+") can't be read: ", "the deploying identity has no right to create deployments.apps in namespace "+p.namespace, "hint: whoever deploys needs the right")
	other := *p
	other.app.Name, other.app.Namespace, other.app.ServiceAccountName = "other", "default", "deployer"
	if err := other.check(); err == nil {
		t.Error("a service account of another namespace was used")
	}
	p.app.DefaultNamespace = "default"
	p.fails("", configMap("mine-elsewhere", "1"), "configmap/mine-elsewhere (namespace default) can't be read: the deploying identity has no right to get configmaps in namespace default")
	p.app.DefaultNamespace = ""
	p.delete()
}

func TestServiceAccountWithoutRights(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "nobody"}}
	if _, err := p.core.CoreV1().ServiceAccounts(p.namespace).Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	p.app.ServiceAccountName = "nobody"
	err := p.check()
	if err == nil || !strings.Contains(err.Error(), "record of the app: configmaps \"app\" is forbidden") {
		t.Fatalf("check: %v", err)
	}
	if want := "on configmaps in namespace " + p.namespace; !strings.Contains(stages.Hint(err), want) {
		t.Errorf("expected a hint with %q, found %q", want, stages.Hint(err))
	}
}

// TestCluster deploys with a kubeconfig from a Secret, and with nothing else.
func TestCluster(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	kubeconfig, err := os.ReadFile(os.Getenv("KUBECONFIG"))
	if err != nil {
		t.Skip("needs KUBECONFIG to be one file")
	}
	p.deps.Cluster = kube.New(kube.Options{Kubeconfig: "/does/not/exist", UserAgent: p.agent})
	c := stagetest.Case{
		App:       p.app,
		Manifests: configMap("far", "1"),
		Objects:   stagetest.Objects{Secrets: map[string]map[string]string{"far": {"value": string(kubeconfig)}}},
	}
	ref := &schema.SecretKeyRef{Name: "far", Key: "value"}
	c.App.Namespace = "a-namespace-that-only-exists-here"
	c.App.Cluster = &schema.Cluster{Namespace: p.namespace, KubeconfigSecretRef: ref}
	job := stagetest.NewJob(t, c)
	if err := p.step("").(stages.Checker).Check(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if _, err := p.step("").Run(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if p.configMap("far") == nil || p.configMap("app") == nil {
		t.Error("object and record aren't in the cluster's namespace")
	}
	for key, want := range map[string]string{"kubeconfig": `Secret far has no key "kubeconfig"`, "value": ""} {
		ref.Key = key
		_, err := p.step("").Run(context.Background(), stagetest.NewJob(t, c))
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("key %s: expected an error with %q, found %v", key, want, err)
		}
	}
	ref.Name = "gone"
	if _, err := p.step("").Run(t.Context(), stagetest.NewJob(t, c)); err == nil || !strings.Contains(err.Error(), "cluster.kubeconfigSecretRef: Secret gone") {
		t.Errorf("missing Secret: %v", err)
	}
}
