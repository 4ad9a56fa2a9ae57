package access

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	authorization "k8s.io/api/authorization/v1"
	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clienttest "k8s.io/client-go/testing"

	"strake.dev/strake/internal/kube"
)

func rule(verbs, groups, resources string, names ...string) authorization.ResourceRule {
	return authorization.ResourceRule{
		Verbs: strings.Fields(verbs), APIGroups: strings.Split(groups, " "), Resources: strings.Fields(resources), ResourceNames: names,
	}
}

func TestMissing(t *testing.T) {
	maps := Need{Verb: "patch", Resource: "configmaps", Namespace: "team", Name: "a"}
	deployments := Need{Verb: "create", Group: "apps", Resource: "deployments", Namespace: "team"}
	scale := Need{Verb: "update", Group: "apps", Resource: "deployments/scale", Namespace: "team"}
	nodes := Need{Verb: "get", Resource: "nodes"}
	for name, c := range map[string]struct {
		rules []authorization.ResourceRule
		// granted are the needs that a single question finds allowed.
		granted   []Need
		forbidden string
		needs     []Need
		want      []Need
		asked     int
	}{
		"everything":        {rules: []authorization.ResourceRule{rule("*", "*", "*")}, needs: []Need{maps, deployments, scale}, asked: 1},
		"one":               {rules: []authorization.ResourceRule{rule("patch", "", "configmaps")}, needs: []Need{maps, deployments, deployments}, want: []Need{deployments}, asked: 2},
		"other group":       {rules: []authorization.ResourceRule{rule("create", "extensions", "deployments")}, needs: []Need{deployments}, want: []Need{deployments}, asked: 2},
		"subresources":      {rules: []authorization.ResourceRule{rule("update", "apps", "*/scale")}, needs: []Need{scale}, asked: 1},
		"resource only":     {rules: []authorization.ResourceRule{rule("update", "apps", "deployments")}, needs: []Need{scale}, want: []Need{scale}, asked: 2},
		"by name":           {rules: []authorization.ResourceRule{rule("patch", "", "configmaps", "a")}, needs: []Need{maps}, asked: 1},
		"other name":        {rules: []authorization.ResourceRule{rule("patch", "", "configmaps", "b")}, needs: []Need{maps}, want: []Need{maps}, asked: 2},
		"not in the list":   {granted: []Need{maps, nodes}, needs: []Need{nodes, maps}, asked: 3},
		"cluster":           {rules: []authorization.ResourceRule{rule("*", "*", "*")}, needs: []Need{nodes}, want: []Need{nodes}, asked: 1},
		"no rules":          {forbidden: "selfsubjectrulesreviews", granted: []Need{maps}, needs: []Need{maps, deployments}, want: []Need{deployments}, asked: 3},
		"no single answers": {forbidden: "selfsubjectaccessreviews", needs: []Need{maps}, asked: 2},
		"nothing":           {},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			asked := 0
			client := fake.NewClientset()
			client.PrependReactor("create", "*", func(a clienttest.Action) (bool, runtime.Object, error) {
				mu.Lock()
				defer mu.Unlock()
				asked++
				if a.GetResource().Resource == c.forbidden {
					return true, nil, apierrors.NewForbidden(a.GetResource().GroupResource(), "", errors.New("no"))
				}
				switch r := a.(clienttest.CreateAction).GetObject().(type) {
				case *authorization.SelfSubjectRulesReview:
					r.Status.ResourceRules = c.rules
					return true, r, nil
				case *authorization.SelfSubjectAccessReview:
					at := r.Spec.ResourceAttributes
					full := at.Resource
					if at.Subresource != "" {
						full += "/" + at.Subresource
					}
					r.Status.Allowed = slices.Contains(c.granted, Need{at.Verb, at.Group, full, at.Namespace, at.Name})
					return true, r, nil
				}
				return false, nil, nil
			})
			got, err := Missing(t.Context(), client, c.needs)
			if err != nil || asked != c.asked {
				t.Errorf("expected %d requests, found %d, %v", c.asked, asked, err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("missing (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNeedString(t *testing.T) {
	n := Need{Verb: "patch", Group: "apps", Resource: "deployments", Namespace: "team", Name: "web"}
	if got, want := n.String(), "patch deployments.apps/web in namespace team"; got != want {
		t.Errorf("expected %q, found %q", want, got)
	}
}

// A real API server and a service account with one right.
func TestSandbox(t *testing.T) {
	if os.Getenv("STRAKE_SANDBOX_REGISTRY") == "" {
		t.Skip("needs the sandbox's environment")
	}
	// The test's own context has ended when its namespace is deleted.
	config, err := kube.New(kube.Options{}).Config(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	admin, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	space, err := admin.CoreV1().Namespaces().Create(t.Context(), &core.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "access-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	name := space.Name
	meta := metav1.ObjectMeta{Name: name}
	t.Cleanup(func() {
		_ = admin.CoreV1().Namespaces().Delete(context.Background(), name, metav1.DeleteOptions{})
	})
	role := &rbac.Role{ObjectMeta: meta, Rules: []rbac.PolicyRule{{Verbs: []string{"get", "patch"}, APIGroups: []string{""}, Resources: []string{"configmaps"}}}}
	if _, err := admin.RbacV1().Roles(name).Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbac.RoleBinding{
		ObjectMeta: meta, RoleRef: rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "Role", Name: name},
		Subjects: []rbac.Subject{{Kind: "ServiceAccount", Namespace: name, Name: "limited"}},
	}
	if _, err := admin.RbacV1().RoleBindings(name).Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	limited := rest.CopyConfig(config)
	limited.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:" + name + ":limited", Groups: []string{"system:serviceaccounts", "system:authenticated"}}
	client, err := kubernetes.NewForConfig(limited)
	if err != nil {
		t.Fatal(err)
	}
	deny := []Need{
		{Verb: "delete", Resource: "configmaps", Namespace: name},
		{Verb: "create", Group: "apps", Resource: "deployments", Namespace: name},
		{Verb: "get", Resource: "nodes"},
	}
	got, err := Missing(t.Context(), client, append([]Need{{Verb: "patch", Resource: "configmaps", Namespace: name, Name: "x"}}, deny...))
	if diff := cmp.Diff(deny, got); diff != "" || err != nil {
		t.Errorf("missing (-want +got):\n%s%v", diff, err)
	}
	if got, err := Missing(t.Context(), admin, deny); len(got) > 0 || err != nil {
		t.Errorf("the administrator lacks %v, %v", got, err)
	}
}
