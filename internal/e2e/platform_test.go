package e2e

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authentication "k8s.io/api/authentication/v1"
	authorization "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// A platform is examples/platform, installed for one world in namespaces of its own.
type platform struct {
	*world
	buildkit, registry string // namespaces
	// address is the registry's.
	address string
}

func installPlatform(t *testing.T) *platform {
	t.Helper()
	address := os.Getenv("STRAKE_SANDBOX_HOSTPORT_REGISTRY")
	if address == "" {
		t.Skip("needs a sandbox where pods run")
	}
	if conn, err := net.Dial("tcp", address); err == nil {
		conn.Close()
		t.Fatalf("a registry is at %s already: strake delete -f examples/platform/app.yaml", address)
	}
	w := newWorld(t)
	p := &platform{world: w, buildkit: w.namespace + "-buildkit", registry: w.namespace + "-registry", address: address}
	w.copy("../../examples/platform", "platform")
	w.replace("platform/app.yaml", "namespace: default", "namespace: "+w.namespace)
	installer := *w
	installer.set = []string{
		"registry.address=" + address, "registry.namespace=" + p.registry,
		"buildkit.namespace=" + p.buildkit, "buildkit.mirrors=[" + os.Getenv("STRAKE_SANDBOX_POD_REGISTRY") + "]", "buildkit.cpu=500m",
		"app.namespace=" + w.namespace,
	}
	t.Cleanup(func() {
		for _, namespace := range []string{p.buildkit, p.registry} {
			_ = w.kube.CoreV1().Namespaces().Delete(context.Background(), namespace, metav1.DeleteOptions{})
		}
	})
	p.world = &installer
	return p
}

// as returns a world that is used with the identity of a service account and no other.
func (p *platform) as(namespace, account string) (*world, *rest.Config) {
	p.t.Helper()
	admin, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		p.t.Fatal(err)
	}
	token, err := p.kube.CoreV1().ServiceAccounts(namespace).CreateToken(p.t.Context(), account, &authentication.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
	config := rest.AnonymousClientConfig(admin)
	config.BearerToken = token.Status.Token
	file := filepath.Join(p.t.TempDir(), "kubeconfig")
	err = clientcmd.WriteToFile(api.Config{
		Clusters:       map[string]*api.Cluster{"sandbox": {Server: admin.Host, CertificateAuthorityData: admin.CAData, CertificateAuthority: admin.CAFile}},
		AuthInfos:      map[string]*api.AuthInfo{account: {Token: config.BearerToken}},
		Contexts:       map[string]*api.Context{account: {Cluster: "sandbox", AuthInfo: account}},
		CurrentContext: account,
	}, file)
	if err != nil {
		p.t.Fatal(err)
	}
	w := *p.world
	w.env = append(slices.Clone(p.env), "KUBECONFIG="+file)
	w.set = []string{"image_repo=" + p.address + "/" + p.namespace + "/app"}
	return &w, config
}

// The platform is installed; builders who may do nothing else have a program built in the cluster, pushed
// to the registry there and deployed by a service account that has one namespace.
func TestPlatform(t *testing.T) {
	t.Parallel()
	needNode(t)
	p := installPlatform(t)
	p.must("run", "-f", "platform/app.yaml")
	if o := p.must("run", "-f", "platform/app.yaml"); !strings.Contains(o.stdout, "nothing was built, pushed or applied") {
		t.Errorf("installed twice: %s", o)
	}
	builder, identity := p.as(p.buildkit, "builder")
	builder.copySrcToOCI()
	const app = "src-to-oci/nodejs-simpleapp.yaml"
	builder.replace(app, "- kbld: {}", "- kbld: {buildkit: {pods: {namespace: "+p.buildkit+"}}}")
	builder.replace(app, "spec:\n", "spec:\n  serviceAccountName: simpleapp\n")

	first := builder.must("run", "-f", app)
	if !strings.Contains(first.stderr, "kube-pod://buildkitd-0?namespace="+p.buildkit) {
		t.Errorf("it wasn't built in the cluster: %s", first)
	}
	if got := p.deployedImage(); !strings.HasPrefix(got, p.address+"/") || !digestRef.MatchString(got) {
		t.Errorf("image is %s", got)
	}
	if got := p.answerOf("nodejs-simpleapp"); got != programs["nodejs"] {
		t.Errorf("the program answers %q", got)
	}

	t.Run("a second run does nothing", func(t *testing.T) {
		audit := follow(t, "STRAKE_SANDBOX_AUDIT_LOG")
		o := builder.must("run", "-f", app)
		if !strings.Contains(o.stdout, "nothing was built, pushed or applied") || strings.Contains(o.stderr, "kube-pod://") {
			t.Errorf("run does not say so, or has looked for daemons: %s", o)
		}
		for _, write := range audit.writes(p.namespace) {
			if !strings.HasSuffix(write, "/token") && !strings.Contains(write, "accessreviews") {
				t.Errorf("a write to the API server: %s", write)
			}
		}
	})
	t.Run("rights of builders", func(t *testing.T) { checkBuilder(t, p, identity) })
	t.Run("another namespace is refused", func(t *testing.T) {
		builder.write("src-to-oci/config/elsewhere.yml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: smuggled, namespace: "+p.registry+"}\n")
		builder.replace("src-to-oci/config/schema.yml", "hello_msg: stranger", "hello_msg: nobody")
		o := builder.strake("run", "-f", app)
		want := `configmap/smuggled (namespace ` + p.registry + `) can't be read: the deploying identity has no right to get configmaps in namespace ` + p.registry
		if o.code != 1 || !strings.Contains(o.stderr, want) {
			t.Errorf("want %q: %s", want, o)
		}
		if _, err := p.kube.CoreV1().ConfigMaps(p.registry).Get(t.Context(), "smuggled", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("the object is there: %v", err)
		}
		if n := p.replicaSets(); n != 1 {
			t.Errorf("the refused run has made a rollout: %d replica sets", n)
		}
	})
	t.Run("delete", func(t *testing.T) {
		builder.must("delete", "-f", app)
		p.must("delete", "-f", "platform/app.yaml")
		if got := p.objects(); len(got) > 0 {
			t.Errorf("left: %q", got)
		}
		for _, namespace := range []string{p.buildkit, p.registry} {
			if _, err := p.kube.CoreV1().Namespaces().Get(t.Context(), namespace, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				t.Errorf("namespace %s is left: %v", namespace, err)
			}
		}
	})
}

// checkBuilder asks the API server what builders may do: reach the daemons and be the App's service
// account, and nothing beside.
func checkBuilder(t *testing.T, p *platform, identity *rest.Config) {
	reviews := kubernetes.NewForConfigOrDie(identity).AuthorizationV1().SelfSubjectAccessReviews()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, c := range []struct {
		verb, namespace, resource, subresource, name string
		want                                         bool
	}{
		{"list", p.buildkit, "pods", "", "", true},
		{"create", p.buildkit, "pods", "exec", "buildkitd-0", true},
		{"create", p.namespace, "serviceaccounts", "token", "simpleapp", true},
		{"create", p.namespace, "serviceaccounts", "token", "default", false},
		{"create", p.buildkit, "serviceaccounts", "token", "default", false},
		{"create", p.buildkit, "pods", "", "", false},
		{"get", p.buildkit, "secrets", "", "", false},
		{"create", p.namespace, "pods", "exec", "", false},
		{"list", p.namespace, "pods", "", "", false},
		{"list", "", "pods", "", "", false},
	} {
		review := &authorization.SelfSubjectAccessReview{Spec: authorization.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorization.ResourceAttributes{
				Verb: c.verb, Namespace: c.namespace, Resource: c.resource, Subresource: c.subresource, Name: c.name,
			},
		}}
		answer, err := reviews.Create(ctx, review, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := answer.Status.Allowed; got != c.want {
			t.Errorf("%s %s/%s %q in %q: allowed %v, want %v", c.verb, c.resource, c.subresource, c.name, c.namespace, got, c.want)
		}
	}
}
