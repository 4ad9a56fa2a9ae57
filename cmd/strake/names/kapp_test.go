package names

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// Calls that need no cluster; “<” and a file are standard input.
func TestKapp(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"a.yml":      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: n}\ndata: {k: v}\n",
		"b.yml":      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: n}\ndata: {k: w, l: x}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: n}\nstringData: {k: hidden}\n",
		"broken.yml": "a: b: c\n",
	}
	dir := folder(t, files)
	calls := []string{
		"", "--help", "-h", "help", "help deploy", "help nope", "deploy --help", "d -h", "delete --help", "inspect --help", "list --help", "logs --help", "label --help", "rename --help", "deploy-config --help",
		"app-group --help", "app-group", "app-group deploy --help", "ag delete --help", "app-change --help", "app-change ls --help", "app-change gc --help", "config-map ls --help", "service-account ls --help", "tools --help", "tools diff --help", "tools inspect --help", "tools list-labels --help", "completion --help", "completion bash", "__complete de", "version --help",
		"nope", "--nope", "deploy --nope", "deploy extra", "version extra", "--column", "--kube-api-qps=x",
		"version", "--version", "-v", "version --json", "version --tty", "version --debug", "--json", "version --profile nope", "deploy-config", "deploy-config --json",
		"deploy", "deploy -a a", "deploy -f a.yml", "deploy -a a -f nowhere.yml", "deploy -a a -f broken.yml", "deploy -a a -f a.yml --kubeconfig nowhere", "deploy -a a -f a.yml --kubeconfig-yaml {", "inspect -a a --kubeconfig nowhere", "list --kubeconfig nowhere --json", "delete -a a --kubeconfig nowhere --tty", "deploy -a a -f a.yml --map-ns x", "deploy -a a -f a.yml --diff-filter {", "inspect -a a --filter {", "app-group deploy -g g", "logs -a a --kubeconfig nowhere", "rename -a a --kubeconfig nowhere",
		"tools inspect -f a.yml", "tools inspect -f a.yml --raw", "tools inspect -f b.yml --raw --json", "tools inspect -f - <b.yml", "tools diff -f b.yml --file2 a.yml", "tools diff -f b.yml --file2 a.yml -c", "tools diff -f b.yml --file2 a.yml -c --tty", "tools diff -f b.yml --file2 a.yml -c --diff-summary=false --diff-mask=false", "tools diff -f b.yml --file2 a.yml -c --json", "tools inspect -f broken.yml",
	}
	for _, line := range calls {
		t.Run(line, func(t *testing.T) {
			often(t, line)
			args, stdin, _ := strings.Cut(line, " <")
			want, got := both(t, "kapp", call{args: strings.Fields(args), dir: dir, stdin: files[stdin]})
			// kapp lists them in another order each time.
			want.Stdout, got.Stdout = preflights.ReplaceAllString(want.Stdout, "are […]"), preflights.ReplaceAllString(got.Stdout, "are […]")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("differs (-kapp +ours):\n%s", diff)
			}
		})
	}
}

// app is what is deployed; CONTENT, and an annotation of the Deployment, are what changes.
const app = `apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {k: CONTENT}
---
apiVersion: v1
kind: Secret
metadata: {name: hidden}
stringData: {k: CONTENT}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: counted, annotations: {kapp.k14s.io/versioned: ""}}
data: {k: CONTENT}
---
apiVersion: v1
kind: Service
metadata: {name: svc}
spec: {selector: {app: x}, ports: [{port: 80}]}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: somebody}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: none, annotations: {changes: CONTENT}}
spec:
  replicas: 0
  selector: {matchLabels: {app: x}}
  template:
    metadata: {labels: {app: x}}
    spec: {containers: [{name: c, image: example.com/none}]}
`

// session is what one does with an app, in order. NS is its namespace. After “<” comes what CONTENT is in
// the standard input.
var session = []string{
	"list -n NS", "inspect -a app -n NS", "delete -a app -n NS --yes", "deploy -a app -n NS -f - --diff-run <1", "deploy -a app -n NS -f - --diff-run --diff-exit-status <1",
	"deploy -a app -n NS -f - --yes --app-metadata-file-output meta.yml <1", "deploy -a app -n NS -f - --yes <1", "deploy -a app -n NS -f - --yes --apply-exit-status <1", "deploy -a app -n NS -f - --diff-run --diff-exit-status <1",
	"deploy -a app -n NS -f - --yes --diff-changes --diff-context=1 <2", "deploy -a app -n NS -f - --yes -c --apply-exit-status --tty=false <3", "deploy -a app -n NS -f - --json --yes <4", "deploy -a app -n NS -f - <5",
	"inspect -a app -n NS", "inspect -a app -n NS --tree", "inspect -a app -n NS --json", "inspect -a app -n NS --column name,kind", "inspect -a app -n NS --filter-kind ConfigMap", "inspect -a app -n NS --filter {\"resource\":{\"kinds\":[\"Secret\"]}} --tty", "inspect -a nope -n NS",
	"list -n NS", "ls -n NS --json", "list -n NS --filter-labels a=b", "logs -a app -n NS", "app-change ls -a app -n NS", "app-change gc -a app -n NS --max 1 --yes", "config-map ls -n NS", "service-account ls -n NS", "tools list-labels -n NS",
	"label -a app -n NS", "rename -a app -n NS --new-name other", "deploy -a label:who=app -n NS -f - --diff-run <1", "deploy -a second -n NS -f - --yes <1", "deploy -a second -n NS -f - --yes --dangerous-allow-empty-list-of-resources <", "deploy -a other -n NS -f - --patch --diff-run <6",
	"delete -a other -n NS --diff-run", "delete -a other -n NS --yes --tty=false", "delete -a second -n NS --yes", "delete -a other -n NS --yes", "list -n NS",
}

// Two namespaces, one for kapp and one for ours, go through the same.
func TestKappSession(t *testing.T) {
	t.Parallel()
	client, base := cluster(t)
	sides := []string{"real/kapp", "ours/kapp"}
	dirs, spaces := []string{t.TempDir(), t.TempDir()}, make([]string, 2)
	for i := range sides {
		spaces[i] = namespace(t, client)
	}
	for _, line := range session {
		t.Run(line, func(t *testing.T) {
			args, content, _ := strings.Cut(line, " <")
			var results []result
			for i, side := range sides {
				c := call{args: strings.Fields(strings.ReplaceAll(args, "NS", spaces[i])), dir: dirs[i], env: []string{"KUBECONFIG=" + base}}
				if content != "" {
					c.stdin = strings.ReplaceAll(app, "CONTENT", "v"+content)
				}
				r := run(t, c, program(t, side))
				r.Stdout, r.Stderr = settled(r.Stdout, spaces[i]), settled(r.Stderr, spaces[i])
				for name, text := range r.Files {
					r.Files[name] = settled(text, spaces[i])
				}
				results = append(results, r)
			}
			if diff := cmp.Diff(results[0], results[1]); diff != "" {
				t.Errorf("differs (-kapp +ours):\n%s", diff)
			}
		})
	}
}

var (
	generated = regexp.MustCompile(`-change-[a-z0-9]{5}\b`)
	labelled  = regexp.MustCompile(`\b1[0-9]{18}\b`)
	clock     = regexp.MustCompile(`\b\d{1,2}:\d\d:\d\d[AP]M\b|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)
	age       = regexp.MustCompile(`\b\d+[smh](\d+s)?(\s|")`)
	// waiting is what kapp tells at each look, in lines of text and of JSON.
	waiting = regexp.MustCompile(`(?m)^…:? ---- (waiting|applying|.* complete).*\n|^….*(ongoing|ok): .*\n(….*\^.*\n)?|^ "…: (ongoing: |L ok: waiting on |\^ ).*\n`)
	hash    = regexp.MustCompile(`\bv1\.[0-9a-f]{32}\b`)
	// preflights are those that the help of kapp deploy lists.
	preflights = regexp.MustCompile(`are \[(PermissionValidation|CRDUpgradeSafety),(PermissionValidation|CRDUpgradeSafety)\]`)

	blanks = regexp.MustCompile(`[ \t]+`)
	// suffix is how the names of what controllers make end, and what identifies objects.
	suffix = regexp.MustCompile(`[-a-f0-9]{36}|none-[a-z0-9]+|svc-[a-z0-9]{5}`)
)

// settled makes of what kapp prints what has to be the same each time: what is in which state when kapp
// looks is a matter of luck, and so is the order in which it takes objects and complains of them.
func settled(text, namespace string) string {
	text = clock.ReplaceAllString(strings.ReplaceAll(text, namespace, "NS"), "…")
	for _, volatile := range []*regexp.Regexp{generated, labelled, hash, suffix} {
		text = volatile.ReplaceAllString(text, "…")
	}
	text = blanks.ReplaceAllString(age.ReplaceAllString(text, "…$2"), " ")
	text = waiting.ReplaceAllString(text, "")
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// cluster returns the sandbox's, and the path of its kubeconfig.
func cluster(t *testing.T) (*kubernetes.Clientset, string) {
	t.Helper()
	path := os.Getenv("KUBECONFIG")
	if os.Getenv("STRAKE_SANDBOX_REGISTRY") == "" || path == "" {
		t.Skip("no sandbox in the environment (make test brings one up)")
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	check(t, err)
	client, err := kubernetes.NewForConfig(config)
	check(t, err)
	return client, path
}

// namespace makes a namespace for a test.
func namespace(t *testing.T, client *kubernetes.Clientset) string {
	t.Helper()
	ns, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "names-"}}, metav1.CreateOptions{})
	check(t, err)
	t.Cleanup(func() {
		// The test's own context has ended by now.
		_ = client.CoreV1().Namespaces().Delete(context.Background(), ns.Name, metav1.DeleteOptions{})
	})
	return ns.Name
}
