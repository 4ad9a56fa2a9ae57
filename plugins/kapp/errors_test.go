package kapp

import (
	"strings"
	"testing"

	"k8s.io/client-go/kubernetes/fake"

	"strake.dev/strake/internal/kube"
	"strake.dev/strake/stages"
)

func testSession(t testing.TB) *session {
	t.Helper()
	return &session{
		ctx: t.Context(), target: target{cluster: kube.New(kube.Options{Kubeconfig: "/does/not/exist"})},
		clients: &clients{core: fake.NewClientset(), types: &types{}},
	}
}

func TestReduce(t *testing.T) {
	const web = "deployment/web (apps/v1) namespace: shop"
	for name, c := range map[string]struct {
		text string
		want string
		hint string
	}{
		"forbidden": {
			text: "create " + web + ": Creating resource " + web + `: API server says: deployments.apps is forbidden: User "joe" cannot create resource "deployments" in API group "apps" in the namespace "shop" (reason: Forbidden)`,
			want: `deployment/web (namespace shop) can't be created: deployments.apps is forbidden: User "joe" cannot create resource "deployments" in API group "apps" in the namespace "shop"`,
			hint: hintForbidden,
		},
		"immutable": {
			text: "update " + web + ": Updating resource " + web + `: API server says: Deployment.apps "web" is invalid: spec.selector: Invalid value: {"matchLabels":{"a":"b"}}: field is immutable (reason: Invalid)`,
			want: "deployment/web (namespace shop) can't be updated: spec.selector: field is immutable",
			hint: "fallback-on-replace",
		},
		"bullets": {
			text: "create " + web + ": \n  Creating resource " + web + ": API server says: Deployment.apps \"web\" is invalid: \n\n  - spec.a: Required value\n\n  - spec.b: Invalid value: 0: must be between 1 and 9\n\n  - inclusive\n\n (reason: Invalid)",
			want: "deployment/web (namespace shop) can't be created: spec.a: Required value; spec.b: Invalid value: 0: must be between 1 and 9, inclusive",
		},
		"admission": {
			text: "create " + web + ": Creating resource " + web + `: API server says: admission webhook "policy.example.com" denied the request: no latest tags (reason: Forbidden)`,
			want: `deployment/web (namespace shop) can't be created: admission webhook "policy.example.com" denied the request: no latest tags`,
			hint: "an admission policy",
		},
		"cluster-scoped": {
			text: "delete namespace/shop (v1) cluster: Deleting resource namespace/shop (v1) cluster: API server says: no (reason: Conflict)",
			want: "namespace/shop can't be deleted: no",
		},
		"conflict": {
			text: "update " + web + ": Failed to update due to resource conflict (approved diff no longer matches): Updating resource",
			want: "deployment/web (namespace shop) can't be updated: Failed to update due to resource conflict (approved diff no longer matches): Updating resource",
			hint: "run again",
		},

		"validation": {
			text: "Validation errors:\n- Expected 'kind' on resource 'x' to be non-empty (file 'manifests.yaml' doc 2)",
			want: "expected 'kind' on resource 'x' to be non-empty (file 'manifests.yaml' doc 2)",
		},

		"not unique": {
			text: "Uniqueness errors:\n- Found resource 'a' multiple times with different content\n- Found resource 'b' multiple times with different content",
			want: "found resource 'a' multiple times with different content\nfound resource 'b' multiple times with different content",
		},
		"colours":  {text: "\x1b[2mUpdating app\x1b[0m: no", want: "updating app: no"},
		"anything": {text: "Updating app: configmaps is strange", want: "updating app: configmaps is strange"},
		"nothing":  {text: "", want: ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := testSession(t).reduce(c.text)
			if err.Error() != c.want {
				t.Errorf("expected\n%s\nfound\n%s", c.want, err)
			}
			if hint := stages.Hint(err); !strings.Contains(hint, c.hint) || (c.hint == "") != (hint == "") {
				t.Errorf("expected the hint %q, found %q", c.hint, hint)
			}
		})
	}
}

func FuzzReduce(f *testing.F) {
	f.Add("create deployment/web (apps/v1) namespace: x: Creating resource deployment/web (apps/v1) namespace: x: API server says: no (reason: Invalid)")
	f.Add("[create a/b (v1) cluster: x, delete a/b (v1) cluster: y]")
	f.Add("Uniqueness errors:\n- \n- Resource ''")
	f.Add("Validation errors:\n- a\n- b")
	f.Fuzz(func(t *testing.T, text string) {
		if err := testSession(t).reduce(text); err == nil {
			t.Error("an error was lost")
		}
	})
}
