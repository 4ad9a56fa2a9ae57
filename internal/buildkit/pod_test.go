package buildkit_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/internal/buildkit/buildkittest"
	"strake.dev/strake/internal/kube"
	"strake.dev/strake/stages"
)

// podsManifest makes the daemons of [TestPods], and an identity that may do no more than a user needs.
const podsManifest = `
apiVersion: v1
kind: Namespace
metadata: {name: NAMESPACE}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: builder, namespace: NAMESPACE}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: builder, namespace: NAMESPACE}
rules:
- {apiGroups: [""], resources: [pods], verbs: [list]}
- {apiGroups: [""], resources: [pods/exec, pods/portforward], verbs: [get, create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: builder, namespace: NAMESPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: builder}
subjects: [{kind: ServiceAccount, name: builder, namespace: NAMESPACE}]
---
apiVersion: v1
kind: Pod
metadata: {name: no-buildkit, namespace: NAMESPACE}
spec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: busybox, command: [sleep, "600"]}]}
`

const podManifest = `
---
apiVersion: v1
kind: Pod
metadata: {name: NAME, namespace: NAMESPACE, labels: {app.kubernetes.io/name: buildkitd}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: buildkitd
    image: IMAGE
    args: [--oci-worker-net=host, --addr=unix:///run/buildkit/buildkitd.sock, --addr=tcp://0.0.0.0:1234]
    securityContext: {privileged: true}
    readinessProbe: {exec: {command: [buildctl, debug, workers]}, periodSeconds: 3, timeoutSeconds: 10, failureThreshold: 10}
    volumeMounts:
    - {name: state, mountPath: /var/lib/buildkit}
    - {name: run, mountPath: /run}
    - {name: tmp, mountPath: /tmp}
  volumes: [{name: state, emptyDir: {}}, {name: run, emptyDir: {}}, {name: tmp, emptyDir: {}}]
`

// daemonImage builds an image of a buildkitd from the files of this machine, and returns its reference.
func daemonImage(t *testing.T, podRegistry string) string {
	t.Helper()
	dir := t.TempDir()
	add := func(from, to string) {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		buildkittest.Write(t, dir, map[string]string{"root" + to: string(data)})
		if err := os.Chmod(filepath.Join(dir, "root", to), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	programs := filepath.Dir(os.Getenv("STRAKE_SANDBOX_BUILDKITD"))
	add(filepath.Join(programs, "buildkitd"), "/bin/buildkitd")
	add(filepath.Join(programs, "buildctl"), "/bin/buildctl")
	runc, err := exec.LookPath("runc")
	if err != nil {
		t.Skip("needs the Debian package runc")
	}
	add(runc, "/bin/runc")
	libraries, err := exec.Command("ldd", runc).Output()
	if err != nil {
		t.Fatalf("ldd: %v", err)
	}
	for _, m := range regexp.MustCompile(`(/\S+) \(0x`).FindAllStringSubmatch(string(libraries), -1) {
		add(m[1], m[1])
	}
	buildkittest.Write(t, dir, map[string]string{
		"root/etc/buildkit/buildkitd.toml": fmt.Sprintf("[registry.%q]\n  http = true\n  insecure = true\n", podRegistry),
		"Dockerfile":                       "FROM scratch\nCOPY root /\nENTRYPOINT [\"buildkitd\"]\n",
	})
	address, registry := buildkittest.Daemon(t)
	p := newPool(t, at(address)...)
	p.repo = registry + "/strake-test/buildkitd"
	if err := p.buildDir(t.Context(), t, dir); err != nil {
		t.Fatal(err)
	}
	return p.repo + "@" + p.result.Digest
}

// kubectl runs the sandbox's kubectl as administrator.
func kubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(os.Getenv("STRAKE_SANDBOX_BIN"), "kubectl"), args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Daemons that run as pods are found and built with, through the API server and with few rights.
func TestPods(t *testing.T) {
	podRegistry := os.Getenv("STRAKE_SANDBOX_POD_REGISTRY")
	if podRegistry == "" || os.Getenv("STRAKE_SANDBOX_BUILDKITD") == "" {
		t.Skip("needs the sandbox with a real node: STRAKE_SANDBOX_POD_REGISTRY and STRAKE_SANDBOX_BUILDKITD are not set")
	}
	image := daemonImage(t, podRegistry)
	namespace := fmt.Sprintf("strake-buildkit-%x", time.Now().UnixNano())
	manifest := podsManifest
	for _, pod := range []string{"buildkitd-0", "buildkitd-1"} {
		manifest += strings.ReplaceAll(podManifest, "NAME,", pod+",")
	}
	t.Cleanup(func() { kubectl(t, "", "delete", "namespace", namespace, "--ignore-not-found", "--wait=false") })
	kubectl(t, strings.NewReplacer("NAMESPACE", namespace, "IMAGE", image).Replace(manifest), "apply", "-f", "-")
	kubectl(t, "", "wait", "-n", namespace, "--for=condition=Ready", "pod", "--all", "--timeout=90s")

	identity, err := kube.New(kube.Options{}).ServiceAccount(t.Context(), namespace, "builder")
	if err != nil {
		t.Fatal(err)
	}
	client := buildkit.New(buildkit.ClientOptions{Cluster: identity, Getenv: func(string) string { return "" }})
	choose := func(t *testing.T, choice buildkit.Choice) *pooled {
		t.Helper()
		choice.Namespace = namespace
		daemons, err := client.Daemons(t.Context(), choice, quiet{})
		if err != nil {
			t.Fatalf("%v (hint: %s)", err, stages.Hint(err))
		}
		return newPoolAt(t, podRegistry, client, daemons)
	}
	exact := func(pod, query string) string { return "kube-pod://" + pod + "?namespace=" + namespace + query }

	for address, want := range map[string]string{
		exact("buildkitd-0", ""):                     "",
		exact("buildkitd-1", "&container=buildkitd"): "",
		exact("buildkitd-1", "&port=1234"):           "",
		exact("no-buildkit", ""):                     "no-buildkit has no program buildctl",
		exact("nobody", ""):                          `pods "nobody" not found`,
		exact("nobody", "&port=1234"):                `pods "nobody" not found`,
		exact("buildkitd-0", "&container=x"):         "container x is not valid for pod buildkitd-0",
		exact("buildkitd-0", "&port=4321"):           "connection refused",
		"kube-pod://coredns?namespace=kube-system":   "cannot create resource \"pods/exec\"",
	} {
		t.Run(strings.ReplaceAll(address, namespace, "NS"), func(t *testing.T) {
			p := choose(t, buildkit.Choice{Addresses: []string{address}})
			began := time.Now()
			err := p.build(t.Context(), t, "FROM BASE\nRUN echo begun\n")
			t.Logf("%v: %v", time.Since(began), err)
			// gRPC puts what it has from us into quotes, or doesn't, as it comes.
			if (err == nil) != (want == "") || err != nil && !strings.Contains(strings.ReplaceAll(err.Error(), `\"`, `"`), want) {
				t.Errorf("error: %v (hint: %s), expected %q", err, stages.Hint(err), want)
			}
			if err == nil && p.result.Daemon != address {
				t.Errorf("built at %s", p.result.Daemon)
			}
			if err != nil && time.Since(began) > 10*time.Second {
				t.Errorf("took %v", time.Since(began))
			}
		})
	}

	t.Run("found", func(t *testing.T) {
		p := choose(t, buildkit.Choice{})
		if len(p.daemons) != 2 {
			t.Fatalf("found %v", p.daemons)
		}
		if err := p.build(t.Context(), t, "FROM BASE\nRUN echo begun\n"); err != nil {
			t.Errorf("%v (hint: %s)", err, stages.Hint(err))
		}
	})

	t.Run("nothing is left", func(t *testing.T) {
		p := choose(t, buildkit.Choice{Addresses: []string{exact("buildkitd-0", "")}})
		q := choose(t, buildkit.Choice{Addresses: []string{exact("buildkitd-0", "&port=1234")}})
		before := runtime.NumGoroutine()
		for _, p := range []*pooled{p, q} {
			if err := p.build(t.Context(), t, "FROM BASE\nRUN echo begun\n"); err != nil {
				t.Error(err)
			}
		}
		for range 100 {
			if runtime.NumGoroutine() <= before {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		stacks := make([]byte, 1<<20)
		t.Errorf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
	})

	t.Run("one is deleted", func(t *testing.T) {
		p := choose(t, buildkit.Choice{Pods: &buildkit.Pods{Namespace: namespace}})
		first := buildkit.Preferred(p.daemons, t.Name())[0]
		pod, _, _ := strings.Cut(strings.TrimPrefix(first.Address, "kube-pod://"), "?")
		var deleted time.Time
		p.observer = onLog{"begun", func() {
			if deleted.IsZero() {
				deleted = time.Now()
				kubectl(t, "", "delete", "pod", "-n", namespace, pod, "--grace-period=0", "--force")
			}
		}}
		if err := p.build(t.Context(), t, slow); err != nil {
			t.Fatalf("%v (hint: %s)", err, stages.Hint(err))
		}
		t.Logf("%v from the deletion to the end; %q", time.Since(deleted), p.warnings())
		if len(p.warnings()) != 1 || p.result.Daemon == first.Address {
			t.Errorf("built at %s, warnings %q", p.result.Daemon, p.warnings())
		}
	})
}
