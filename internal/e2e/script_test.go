package e2e

import (
	"context"
	"crypto/elliptic"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// The scripts in testdata/script call strake as a user would, mostly with something wrong in the
// App or around it, and compare the whole message. “-update” writes the messages anew.
//
// In the files of a script, $NAMESPACE is a namespace of the script's own ($NAMESPACE-new is one that it may make), $REGISTRY the sandbox's
// registry and $REPO a repository in it, $FAULTY a registry and web server that answers as the
// path's first element says; the command subst puts them in.
func TestScripts(t *testing.T) {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	kube := kubernetes.NewForConfigOrDie(config)
	faulty := httptest.NewServer(http.HandlerFunc(serveFaults))
	t.Cleanup(faulty.Close)
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			ns, err := kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "script-"}}, metav1.CreateOptions{})
			if err != nil {
				return err
			}
			env.Defer(func() {
				for _, name := range []string{ns.Name, ns.Name + "-new"} {
					_ = kube.CoreV1().Namespaces().Delete(context.Background(), name, metav1.DeleteOptions{})
				}
			})
			registry := os.Getenv("STRAKE_SANDBOX_REGISTRY")
			examples, err := filepath.Abs("../../examples")
			if err != nil {
				return err
			}
			for k, v := range map[string]string{
				"PATH":       filepath.Dir(strakeBinary) + ":" + os.Getenv("PATH"),
				"KUBECONFIG": os.Getenv("KUBECONFIG"), "BUILDKIT_HOST": os.Getenv("BUILDKIT_HOST"),
				"STRAKE_REGISTRY_MIRRORS": os.Getenv("STRAKE_REGISTRY_MIRRORS"),
				"XDG_CACHE_HOME":          filepath.Join(env.WorkDir, ".cache"),
				"EXAMPLES":                examples, "STRAKE": strakeBinary,
				"NAMESPACE": ns.Name, "REGISTRY": registry, "REPO": registry + "/" + ns.Name,
				"FAULTY": strings.TrimPrefix(faulty.URL, "http://"), "SERVER": config.Host,
			} {
				env.Setenv(k, v)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"document":  document,
			"fails":     fails,
			"keys":      keys,
			"subst":     substitute,
			"untouched": untouched,
		},
	})
}

// fails calls strake, expects an exit code, and writes what it said, with the variables put back in
// and digests and times taken out, to the file message: fails CODE ARGUMENT...
func fails(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, strakeBinary, append(args[1:], "--progress", "none")...)
	cmd.Dir = ts.Getenv("WORK")
	cmd.Env = os.Environ()
	for _, name := range []string{"KUBECONFIG", "BUILDKIT_HOST", "XDG_CACHE_HOME", "DOCKER_CONFIG"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	_ = cmd.Run()
	if got := fmt.Sprint(cmd.ProcessState.ExitCode()); got != args[0] {
		ts.Fatalf("exit code %s, want %s\n%s", got, args[0], stderr.String())
	}
	text := stderr.String()
	for _, name := range variables {
		if value := ts.Getenv(name); value != "" {
			text = strings.ReplaceAll(text, value, "$"+name)
		}
	}
	for _, r := range unstable {
		text = r.pattern.ReplaceAllString(text, r.with)
	}
	ts.Check(os.WriteFile(ts.MkAbs("message"), []byte(text), 0o644))
}

// keys makes a pair of keys as cosign generate-key-pair does, without a password: keys NAME
func keys(ts *testscript.TestScript, _ bool, args []string) {
	private, public, err := cryptoutils.GeneratePEMEncodedECDSAKeyPair(elliptic.P256(), nil)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".key"), private, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".pub"), public, 0o644))
}

// variables are what differs from run to run, the longer ones first.
var variables = []string{"REPO", "NAMESPACE", "REGISTRY", "FAULTY", "WORK", "BUILDKIT_HOST", "KUBECONFIG", "SERVER"}

var unstable = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\$WORK/\.cache/strake/workspaces/[a-z-]+-[0-9a-f]{12}/`), "WORKSPACE/"},
	{regexp.MustCompile(`[0-9a-f]{64}`), "DIGEST"},
	{regexp.MustCompile(`strake-[0-9a-f]{32}`), "strake-TAG"},
	{regexp.MustCompile(`\b\d+(\.\d+)?(ms|s)\b`), "TIME"},
	{regexp.MustCompile(`web-[0-9a-f]{5,10}-[0-9a-z]{5}`), "web-POD"},
	{regexp.MustCompile(`v1\.[0-9a-f]{32}`), "ASSOCIATION"},
	{regexp.MustCompile(`\b\d{19}\b`), "APP"},
	{regexp.MustCompile(`sandbox-\w+`), "sandbox-NAME"},
	{regexp.MustCompile(`restarted \d+ times`), "restarted N times"},
	// The kubelet waits ever longer between attempts, and says so.
	{regexp.MustCompile(`container web: [^\n]*ErrImagePull[^\n]*`), "container web: ErrImagePull"},
}

// substitute replaces the variables of the script's environment in files: subst FILE...
func substitute(ts *testscript.TestScript, _ bool, files []string) {
	for _, file := range files {
		text := ts.ReadFile(file)
		for _, name := range variables {
			text = strings.ReplaceAll(text, "$"+name, ts.Getenv(name))
		}
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o644))
	}
}

// untouched makes sure that a refused run has left nothing: “untouched files” looks for a lock file and
// half-made areas, “untouched cluster” for records in the namespace.
func untouched(ts *testscript.TestScript, _ bool, args []string) {
	if slices.Contains(args, "files") {
		locks, _ := filepath.Glob(ts.MkAbs("*.lock.yaml"))
		areas, _ := filepath.Glob(ts.MkAbs(".cache/strake/workspaces/*/tmp"))
		for _, left := range append(locks, areas...) {
			ts.Fatalf("left behind: %s", left)
		}
	}
	if !slices.Contains(args, "cluster") {
		return
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	ts.Check(err)
	kube := kubernetes.NewForConfigOrDie(config)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	maps, err := kube.CoreV1().ConfigMaps(ts.Getenv("NAMESPACE")).List(ctx, metav1.ListOptions{})
	ts.Check(err)
	for _, m := range maps.Items {
		if m.Name != "kube-root-ca.crt" {
			ts.Fatalf("left in the cluster: configmap %s", m.Name)
		}
	}
}

// serveFaults is a web server and registry where everything goes wrong, in the way that the path
// says: as an image, the repository's first element.
func serveFaults(w http.ResponseWriter, r *http.Request) {
	kind, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/v2"), "/"), "/")
	switch kind {
	case "": // the registry's own address, which is in order
	case "unauthorized":
		w.Header().Set("Www-Authenticate", `Basic realm="faulty"`)
		w.WriteHeader(http.StatusUnauthorized)
	case "forbidden":
		w.WriteHeader(http.StatusForbidden)
	case "broken":
		w.WriteHeader(http.StatusInternalServerError)
	case "busy":
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	case "truncated":
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, "only this")
	case "text":
		fmt.Fprint(w, "just text")
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}
