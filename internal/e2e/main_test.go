package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// strakeBinary is the binary under test.
var strakeBinary string

func TestMain(m *testing.M) {
	if os.Getenv("STRAKE_SANDBOX_REGISTRY") == "" {
		fmt.Println("end-to-end tests left out: no sandbox in the environment (make test brings one up)")
		return
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	build := exec.Command("make", "--no-print-directory", "build")
	build.Dir, build.Stdout, build.Stderr = root, os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "make build:", err)
		os.Exit(1)
	}
	strakeBinary = filepath.Join(root, "bin", "strake")
	os.Exit(m.Run())
}

// A world is an App of a test's own: its files, its namespace, its repository in the registry.
type world struct {
	t   testing.TB
	dir string
	// temp is the system's folder for temporary files, as strake sees it.
	temp      string
	namespace string
	repo      string
	kube      *kubernetes.Clientset
	env       []string
	// set are the values, as KEY=VALUE, that templates need.
	set []string
}

// newWorld makes a world with the example app in it, so far only as files and a namespace.
func newWorld(t testing.TB) *world {
	t.Helper()
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: t.TempDir(), temp: t.TempDir(), kube: kubernetes.NewForConfigOrDie(config)}
	ns, err := w.kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.namespace = ns.Name
	w.repo = os.Getenv("STRAKE_SANDBOX_REGISTRY") + "/" + ns.Name + "/simple-app"
	t.Cleanup(func() {
		// The test's own context has ended by now.
		_ = w.kube.CoreV1().Namespaces().Delete(context.Background(), w.namespace, metav1.DeleteOptions{})
	})
	w.set = []string{"image_repo=" + w.repo}
	w.env = append(os.Environ(), "XDG_CACHE_HOME="+filepath.Join(w.dir, "cache"), "TMPDIR="+w.temp)
	for _, folder := range []string{"src", "config"} {
		w.copy("../../examples/simple-app/"+folder, folder)
	}
	w.write("app.yaml", w.app(""))
	return w
}

// app is an App of the example's files; extra is added to the spec.
func (w *world) app(extra string) string {
	return fmt.Sprintf(`apiVersion: strake.dev/v1alpha1
kind: App
metadata: {name: simple-app, namespace: %s}
spec:
  fetch:
  - {path: src, directory: {path: src}}
  - {path: config, directory: {path: config}}
  template:
  - ytt: {paths: [config]}
  build:
  - kbld: {}
  deploy:
  - kapp: {}
%s`, w.namespace, extra)
}

func (w *world) copy(from, to string) {
	w.t.Helper()
	if err := os.CopyFS(filepath.Join(w.dir, to), os.DirFS(from)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) write(name, content string) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) read(name string) string {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

// replace edits a file; what is to be replaced has to be there.
func (w *world) replace(name, old, with string) {
	w.t.Helper()
	text := w.read(name)
	if !strings.Contains(text, old) {
		w.t.Fatalf("%s does not contain %q", name, old)
	}
	w.write(name, strings.ReplaceAll(text, old, with))
}

// An outcome is how one call of strake ended.
type outcome struct {
	stdout, stderr string
	code           int
	took           time.Duration
}

func (o outcome) String() string {
	return fmt.Sprintf("exit code %d after %s\n--- stdout\n%s--- stderr\n%s", o.code, o.took.Round(time.Millisecond), o.stdout, o.stderr)
}

// command prepares a call of strake in the world's folder, with the values that the example needs.
func (w *world) command(ctx context.Context, args ...string) *exec.Cmd {
	switch args[0] {
	case "run", "plan", "render", "build":
		for _, value := range w.set {
			args = append(args, "--set", value)
		}
	}
	cmd := exec.CommandContext(ctx, strakeBinary, args...)
	cmd.Dir, cmd.Env = w.dir, w.env
	return cmd
}

func (w *world) strake(args ...string) outcome {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 4*time.Minute)
	defer cancel()
	cmd := w.command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	started := time.Now()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatal(err)
	}
	o := outcome{stdout: stdout.String(), stderr: stderr.String(), code: cmd.ProcessState.ExitCode(), took: time.Since(started)}
	w.t.Logf("strake %s: exit code %d after %s", strings.Join(args, " "), o.code, o.took.Round(time.Millisecond))
	return o
}

// must calls strake and expects it to succeed.
func (w *world) must(args ...string) outcome {
	w.t.Helper()
	o := w.strake(args...)
	if o.code != 0 {
		w.t.Fatalf("strake %s: %s", strings.Join(args, " "), o)
	}
	return o
}

// answer is what the deployed app says, asked from inside its pod.
func (w *world) answer() string {
	w.t.Helper()
	return w.answerOf("simple-app")
}

// answerBinary is the path of examples/answer, which is built at the first call.
var answerBinary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(filepath.Dir(strakeBinary), "answer")
	if out, err := exec.Command("go", "build", "-o", path, "../../examples/answer").CombinedOutput(); err != nil {
		return "", fmt.Errorf("building it: %w\n%s", err, out)
	}
	return path, nil
})

func (w *world) answerOf(app string) string {
	w.t.Helper()
	program, err := answerBinary()
	if err != nil {
		w.t.Fatalf("answer: %v", err)
	}
	cmd := exec.CommandContext(w.t.Context(), program, "-namespace", w.namespace, "-selector", "app.kubernetes.io/name="+app)
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("answer: %v\n%s", err, out)
	}
	return string(out)
}

// tags lists the tags in the world's repository.
func (w *world) tags() []string {
	w.t.Helper()
	return w.tagsOf(w.repo)
}

// objects lists what the App's namespace holds that a deploy may have made.
func (w *world) objects() []string {
	w.t.Helper()
	var names []string
	deployments, err := w.kube.AppsV1().Deployments(w.namespace).List(w.t.Context(), metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, d := range deployments.Items {
		names = append(names, "deployment/"+d.Name)
	}
	services, err := w.kube.CoreV1().Services(w.namespace).List(w.t.Context(), metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, s := range services.Items {
		names = append(names, "service/"+s.Name)
	}
	maps, err := w.kube.CoreV1().ConfigMaps(w.namespace).List(w.t.Context(), metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, m := range maps.Items {
		if m.Name != "kube-root-ca.crt" {
			names = append(names, "configmap/"+m.Name)
		}
	}
	return names
}

// A tail reads what is added to a log file from now on.
type tail struct {
	t    *testing.T
	path string
	from int64
}

func follow(t *testing.T, env string) *tail {
	t.Helper()
	path := os.Getenv(env)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatalf("%s: %v", env, err)
	}
	return &tail{t: t, path: path, from: info.Size()}
}

func (l *tail) text() string {
	l.t.Helper()
	f, err := os.Open(l.path)
	if err != nil {
		l.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Seek(l.from, io.SeekStart); err != nil {
		l.t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err != nil {
		l.t.Fatal(err)
	}
	return string(b)
}

// writes lists strake's writes to the API server, since the log is followed, that concern a namespace.
func (l *tail) writes(namespace string) []string {
	l.t.Helper()
	// What the API server is still about to log.
	time.Sleep(500 * time.Millisecond)
	var found []string
	for line := range strings.SplitSeq(l.text(), "\n") {
		var e struct {
			Verb       string `json:"verb"`
			RequestURI string `json:"requestURI"`
			UserAgent  string `json:"userAgent"`
		}
		if json.Unmarshal([]byte(line), &e) != nil || strings.Contains(e.RequestURI, "dryRun=All") {
			continue
		}
		switch e.Verb {
		case "create", "update", "patch", "delete", "deletecollection":
		default:
			continue
		}
		if strings.HasPrefix(e.UserAgent, "strake/") && strings.Contains(e.RequestURI, "/"+namespace) {
			found = append(found, e.Verb+" "+e.RequestURI)
		}
	}
	return found
}
