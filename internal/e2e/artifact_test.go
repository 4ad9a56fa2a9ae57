package e2e

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	inprocess "github.com/google/go-containerregistry/pkg/registry"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// artifactWorld is a world with examples/artifact in it, whose objects go to the world's namespace.
func artifactWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.set = nil
	w.copy("../../examples/artifact", "artifact")
	for _, file := range []string{"artifact/config/kustomization.yaml", "artifact/config/namespace.yaml"} {
		w.replace(file, "artifact-demo", w.namespace+"-demo")
	}
	w.env = append(w.env, "COSIGN_PASSWORD=sesame")
	return w
}

// TestArtifactGuide runs the example's script.
func TestArtifactGuide(t *testing.T) {
	t.Parallel()
	w := artifactWorld(t)
	w.replace("artifact/guide.sh", "artifact-demo", w.namespace+"-demo")
	cmd := exec.CommandContext(t.Context(), "sh", filepath.Join(w.dir, "artifact", "guide.sh"))
	cmd.Env = append(w.env, "REGISTRY="+os.Getenv("STRAKE_SANDBOX_REGISTRY")+"/"+w.namespace, "PATH="+filepath.Dir(strakeBinary)+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	for what, n := range map[string]int{" created\n": 10, " unchanged\n": 9 + 7, " configured\n": 1 + 3, " deleted\n": 12, "verified oci://": 2, "(unchanged)\n": 1, " drifted\n": 1} {
		if got := strings.Count(string(out), what); got != n {
			t.Errorf("%d times %q, expected %d:\n%s", got, what, n, out)
		}
	}
	if left, err := os.ReadDir(w.temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestArtifactApp runs the example's App: what it deploys is the artifact that it has published and signed.
func TestArtifactApp(t *testing.T) {
	t.Parallel()
	w := artifactWorld(t)
	w.must("artifact", "generate-key-pair", "--output-prefix", "artifact/cosign")
	url := "oci://" + w.repo + "/config"
	w.replace("artifact/app.yaml", "oci://registry.example.com/team/artifact-demo", url)
	w.replace("artifact/app.yaml", "namespace: default", "namespace: "+w.namespace)
	app := []string{"-f", "artifact/app.yaml"}
	if o := w.must(append([]string{"plan"}, app...)...); !strings.Contains(o.stdout, "push    artifact/"+url+":1.0.0") {
		t.Errorf("plan: %s", o)
	}
	w.must(append([]string{"run"}, app...)...)
	verified := w.must("artifact", "verify", "--key", "artifact/cosign.pub", url+":latest")
	_, digest, _ := strings.Cut(strings.Split(verified.stdout, ": signed")[0], "@")
	if o := w.must("apps", "-n", w.namespace); !strings.Contains(o.stdout, url) || !strings.Contains(o.stdout, digest) {
		t.Errorf("apps doesn't name the artifact %s: %s", digest, o)
	}
	images := w.must("artifact", "inspect", url+":1.0.0", "--container-images").stdout
	if !strings.Contains(images, "busybox@sha256:") {
		t.Errorf("images without digests: %s", images)
	}
	if o := w.must(append([]string{"run"}, app...)...); !strings.Contains(o.stderr, "is there already") || !strings.Contains(o.stderr, "up to date") {
		t.Errorf("the second run: %s", o)
	}
	if o := w.strake(append([]string{"plan", "--detailed-exitcode"}, app...)...); o.code != 0 {
		t.Errorf("plan after it: %s", o)
	}
	w.must(append([]string{"delete"}, app...)...)
}

// TestAirGap takes an artifact with its images out of a registry that is gone then, and deploys it from
// another one.
func TestAirGap(t *testing.T) {
	t.Parallel()
	w := artifactWorld(t)
	first := httptest.NewServer(inprocess.New(inprocess.Logger(log.New(io.Discard, "", 0))))
	defer first.Close()
	from := "oci://" + strings.TrimPrefix(first.URL, "http://") + "/team/config:1.0.0"
	w.must("artifact", "generate-key-pair")
	w.must("artifact", "push", from, "-k", "artifact/config", "--lock-images", "--sign-key", "cosign.key")
	if o := w.must("artifact", "copy", from, "archive:config.tar", "--images", "--verify-key", "cosign.pub"); !strings.Contains(o.stdout, "1 images, 1 tags with signatures, 2 referrers") {
		t.Errorf("copy: %s", o)
	}
	if o := w.must("artifact", "inspect", from); !strings.Contains(o.stdout, "Provenance: https://strake.dev/strake") || !strings.Contains(o.stdout, "busybox@sha256:") {
		t.Errorf("the provenance of what was pushed: %s", o)
	}
	first.Close()
	if o := w.strake("artifact", "inspect", from); o.code == 0 {
		t.Fatalf("the first registry is there still: %s", o)
	}

	to := "oci://" + w.repo + "/mirror"
	w.must("artifact", "copy", "archive:config.tar", to)
	w.must("artifact", "verify", "--key", "cosign.pub", to+":1.0.0")
	apply := []string{"apply", w.namespace, "-n", w.namespace, "--wait", "--prune", "-a", to + ":1.0.0", "--verify-key", "cosign.pub", "--relocated"}
	w.must(apply...)
	pods, err := w.kube.CoreV1().Pods(w.namespace+"-demo").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(pods.Items) < 3 {
		t.Fatalf("%d pods, %v", len(pods.Items), err)
	}
	for _, p := range pods.Items {
		if image := p.Spec.Containers[0].Image; !strings.HasPrefix(image, w.repo+"/mirror@sha256:") {
			t.Errorf("%s runs %s", p.Name, image)
		}
	}
	if o := w.must(apply...); strings.Count(o.stdout, " unchanged\n") != 10 {
		t.Errorf("again: %s", o)
	}

	// Somebody else's key, and an artifact that isn't signed.
	w.must("artifact", "generate-key-pair", "--output-prefix", "other")
	apply[len(apply)-2] = "other.pub"
	if o := w.strake(apply...); o.code != 5 || strings.Contains(o.stdout, "applying") {
		t.Errorf("another key: %s", o)
	}
	w.must("artifact", "push", to+":unsigned", "-k", "artifact/config")
	apply[7] = to + ":unsigned"
	if o := w.strake(apply...); o.code != 9 || strings.Contains(o.stdout, "applying") {
		t.Errorf("unsigned: %s", o)
	}
	w.must("delete", w.namespace, "-n", w.namespace)
}
