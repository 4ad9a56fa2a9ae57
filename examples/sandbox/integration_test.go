package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"strake.dev/strake/examples/sandbox/internal/cgroup"
	"strake.dev/strake/examples/sandbox/internal/instance"
	"strake.dev/strake/examples/sandbox/internal/mount"
	"strake.dev/strake/examples/sandbox/internal/proc"
)

// An installation is the program, and the folder with the instances that it is to use.
type installation struct {
	program, home string
}

// install builds the program as a user would. Components come from the user's cache, so the test
// takes minutes more where they were never built.
func install(t *testing.T) *installation {
	t.Helper()
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("a real sandbox needs Linux and root")
	}
	if testing.Short() {
		t.Skip("a real sandbox takes minutes")
	}
	home, err := os.MkdirTemp("/tmp", "sandbox-test-") //nolint:usetesting // sockets below it need a short path
	if err != nil {
		t.Fatal(err)
	}
	in := &installation{filepath.Join(home, "program"), filepath.Join(home, "s")}
	t.Cleanup(func() {
		if err := os.RemoveAll(home); err != nil {
			t.Error(err)
		}
	})
	output, err := exec.Command("go", "build", "-o", in.program, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("build: %v\n%s", err, output)
	}
	return in
}

func (in *installation) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, in.program, args...)
	cmd.Env = append(os.Environ(), "STRAKE_SANDBOX_HOME="+in.home)
	return cmd
}

// run runs the program and returns what it prints as a result.
func (in *installation) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out, progress bytes.Buffer
	cmd := in.command(t.Context(), args...)
	cmd.Stdout, cmd.Stderr = &out, &progress
	err := cmd.Run()
	t.Logf("sandbox %s: %v\n%s", strings.Join(args, " "), err, progress.String())
	return out.String(), err
}

func (in *installation) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := in.run(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// up brings an instance up, and takes it down with the test.
func (in *installation) up(t *testing.T, name string, args ...string) *client {
	t.Helper()
	t.Cleanup(func() {
		output, err := in.command(context.Background(), "down", "--purge", "--name", name).CombinedOutput()
		if err != nil {
			t.Errorf("down %s: %v\n%s", name, err, output)
		}
	})
	in.must(t, append([]string{"up", "--name", name}, args...)...)
	c := &client{env: map[string]string{}}
	if err := json.Unmarshal([]byte(in.must(t, "env", "--name", name, "--output", "json")), &c.env); err != nil {
		t.Fatal(err)
	}
	return c
}

// pids returns the components that run.
func (in *installation) pids(t *testing.T, name string) map[string]int {
	t.Helper()
	out, _ := in.run(t, "status", "--name", name, "--output", "json")
	var status struct {
		Components []struct {
			Name string
			PID  int
		}
	}
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		t.Fatalf("status: %v\n%s", err, out)
	}
	pids := map[string]int{}
	for _, c := range status.Components {
		if c.PID > 0 {
			pids[c.Name] = c.PID
		}
	}
	return pids
}

// A client uses an instance by its variables, as users do.
type client struct{ env map[string]string }

func (c *client) run(t *testing.T, dir, program string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(c.env["STRAKE_SANDBOX_BIN"], program), args...)
	cmd.Dir = dir
	cmd.Env = os.Environ()
	for name, value := range c.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	output, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, output)
	}
	return string(output), err
}

func (c *client) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.run(t, "", "kubectl", args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// kubectlSoon is kubectl for what a kubelet that has just started can't do yet: it learns of the pods
// that it has only after its node is Ready.
func (c *client) kubectlSoon(t *testing.T, args ...string) string {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(500 * time.Millisecond) {
		out, err := c.run(t, "", "kubectl", args...)
		if err == nil {
			return out
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func (c *client) runPod(t *testing.T, name, image string, command ...string) {
	t.Helper()
	c.kubectl(t, append([]string{"run", name, "--image", image, "--command", "--"}, command...)...)
	c.kubectl(t, "wait", "--for=condition=Ready", "pod/"+name, "--timeout=60s")
}

func (c *client) log(t *testing.T, variable string) string {
	t.Helper()
	data, err := os.ReadFile(c.env[variable])
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestSandbox(t *testing.T) {
	in := install(t)
	first := in.up(t, "first")

	t.Run("pod", func(t *testing.T) {
		first.runPod(t, "web", "busybox", "sh", "-c", "echo started; mkdir /www; echo hello > /www/index.html; httpd -f -p 8080 -h /www")
		if out := first.kubectl(t, "logs", "web"); out != "started\n" {
			t.Errorf("logs: %q", out)
		}
		if out := first.kubectl(t, "exec", "web", "--", "wget", "-qO-", "http://127.0.0.1:8080/"); out != "hello\n" {
			t.Errorf("exec: %q", out)
		}
		registry := "http://" + first.env["STRAKE_SANDBOX_POD_REGISTRY"] + "/v2/_catalog"
		if out := first.kubectl(t, "exec", "web", "--", "wget", "-qO-", registry); !strings.Contains(out, "library/busybox") {
			t.Errorf("registry seen by a pod: %q", out)
		}
		// The API server answers plain HTTP with a complaint, which shows that it is reached.
		out, err := first.run(t, "", "kubectl", "exec", "web", "--", "sh", "-c", "wget -qO- http://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/ 2>&1")
		if err == nil || !strings.Contains(out, "400 Bad Request") {
			t.Errorf("API server seen by a pod: %v %q", err, out)
		}
		if !strings.Contains(first.log(t, "STRAKE_SANDBOX_AUDIT_LOG"), `"requestURI":"/api/v1/namespaces/default/pods?`) {
			t.Error("the creation of a pod is not in the audit log")
		}
	})

	t.Run("host port", func(t *testing.T) {
		address := first.env["STRAKE_SANDBOX_HOSTPORT_REGISTRY"]
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		pod := fmt.Sprintf(`{"spec":{"containers":[{"name":"listener","image":"busybox",
			"command":["sh","-c","mkdir /www; echo there > /www/index.html; exec httpd -f -p 8080 -h /www"],
			"ports":[{"containerPort":8080,"hostPort":%s}]}]}}`, port)
		first.kubectl(t, "run", "listener", "--image=busybox", "--overrides", pod)
		first.kubectl(t, "wait", "--for=condition=Ready", "pod/listener", "--timeout=60s")
		for _, from := range []string{"web", "listener"} {
			if out := first.kubectl(t, "exec", from, "--", "wget", "-qO-", "http://"+address+"/"); out != "there\n" {
				t.Errorf("seen by pod %s: %q", from, out)
			}
		}
		if out, err := exec.CommandContext(t.Context(), "busybox", "wget", "-qO-", "http://"+address+"/").Output(); err != nil || string(out) != "there\n" {
			t.Errorf("seen by the host: %v %q", err, out)
		}
		// Another instance may have the same.
		if conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", port)); err == nil {
			conn.Close()
			t.Errorf("port %s is taken on other addresses than %s too", port, host)
		}
	})

	t.Run("build", func(t *testing.T) {
		dir := t.TempDir()
		dockerfile := "FROM busybox\nRUN echo built > /made\nCMD [\"sh\", \"-c\", \"cat /made; sleep 600\"]\n"
		if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o600); err != nil {
			t.Fatal(err)
		}
		image := first.env["STRAKE_SANDBOX_REGISTRY"] + "/test/made:1"
		if _, err := first.run(t, dir, "buildctl", "build", "--frontend=dockerfile.v0", "--local=context=.", "--local=dockerfile=.", "--output=type=image,push=true,name="+image); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(first.log(t, "STRAKE_SANDBOX_BUILDKIT_LOG"), "solve") {
			t.Error("the solve is not in buildkitd's log")
		}
		first.kubectl(t, "run", "made", "--image", image)
		first.kubectl(t, "wait", "--for=condition=Ready", "pod/made", "--timeout=60s")
		if out := first.kubectl(t, "logs", "made"); out != "built\n" {
			t.Errorf("logs: %q", out)
		}
	})

	second := in.up(t, "second")
	t.Run("side by side", func(t *testing.T) {
		second.runPod(t, "other", "busybox", "sleep", "600")
		if out := second.kubectl(t, "get", "pods", "--output=name"); out != "pod/other\n" {
			t.Errorf("pods of the second instance: %q", out)
		}
	})

	t.Run("up twice changes nothing", func(t *testing.T) {
		before := in.pids(t, "first")
		again := in.command(t.Context(), "up", "--name", "first")
		if err := again.Start(); err != nil {
			t.Fatal(err)
		}
		in.must(t, "up", "--name", "first")
		if err := again.Wait(); err != nil {
			t.Errorf("up at the same time: %v", err)
		}
		if after := in.pids(t, "first"); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("components were %v, are %v", before, after)
		}
	})

	t.Run("up after kills", func(t *testing.T) {
		before := in.pids(t, "first")
		for _, name := range []string{"apiserver", "containerd", "kubelet", "buildkitd"} {
			kill(t, before[name])
		}
		if out, err := in.run(t, "status", "--name", "first"); err == nil {
			t.Errorf("status finds all running:\n%s", out)
		}
		in.must(t, "up", "--name", "first")
		if after := in.pids(t, "first"); len(after) != len(before) || after["etcd"] != before["etcd"] {
			t.Errorf("components were %v, are %v", before, after)
		}
		if out := first.kubectlSoon(t, "exec", "web", "--", "cat", "/www/index.html"); out != "hello\n" {
			t.Errorf("exec in a pod from before: %q", out)
		}
		first.runPod(t, "later", "busybox", "sleep", "600")
	})

	t.Run("down leaves nothing", func(t *testing.T) {
		in.must(t, "down", "--name", "first")
		in.checkGone(t, "first")
		second.kubectl(t, "exec", "other", "--", "true")
		if out := second.kubectl(t, "get", "nodes"); !strings.Contains(out, " Ready ") {
			t.Errorf("the second instance suffered: %s", out)
		}
	})

	t.Run("up after killed up", func(t *testing.T) {
		up := in.command(t.Context(), "up", "--name", "first")
		if err := up.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1500 * time.Millisecond)
		_ = up.Process.Kill()
		_ = up.Wait()
		in.must(t, "up", "--name", "first")
		// The cluster has kept its objects, and kubelet starts the pods again.
		first.kubectl(t, "wait", "--for=condition=Ready", "pod/web", "--timeout=60s")
		in.must(t, "down", "--name", "first", "--purge")
		in.checkGone(t, "first")
		if left, _ := filepath.Glob(filepath.Join(in.home, "first*")); len(left) > 0 {
			t.Errorf("left after purge: %v", left)
		}
	})
}

func TestFakeNode(t *testing.T) {
	in := install(t)
	c := in.up(t, "fake", "--node", "kwok")
	c.kubectl(t, "create", "deployment", "d", "--image=nowhere.invalid/x", "--replicas=2")
	c.kubectl(t, "rollout", "status", "deployment/d", "--timeout=60s")
	in.must(t, "down", "--name", "fake")
	in.checkGone(t, "fake")
}

func kill(t *testing.T, pid int) {
	t.Helper()
	record, err := proc.Identify(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := record.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// checkGone looks for anything of an instance that is down, outside its folder.
func (in *installation) checkGone(t *testing.T, name string) {
	t.Helper()
	i, err := instance.New(in.home, name)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := proc.Marked("STRAKE_SANDBOX_COMPONENT=" + i.ID + "/"); err != nil || len(found) > 0 {
		t.Errorf("processes are left: %+v, %v", found, err)
	}
	for _, dir := range []string{i.Dir, i.Run} {
		if points, err := mount.Below(dir); err != nil || len(points) > 0 {
			t.Errorf("mounts are left: %v, %v", points, err)
		}
	}
	if _, err := os.Stat(i.Run); err == nil {
		t.Errorf("folder is left: %s", i.Run)
	}
	if _, err := net.InterfaceByName("sk-" + i.ID); err == nil {
		t.Error("bridge is left")
	}
	for _, table := range []string{"nat", "filter"} {
		rules, err := exec.Command("iptables", "-w", "-t", table, "-S").Output()
		if err != nil || strings.Contains(string(rules), i.ID) {
			t.Errorf("packet filter rules are left: %v\n%s", err, rules)
		}
	}
	if groups, err := cgroup.Children("/"); err != nil || strings.Contains(fmt.Sprint(groups), i.ID) {
		t.Errorf("control groups are left: %v, %v", groups, err)
	}
	if left, err := filepath.Glob("/var/lib/cni/results/*" + i.ID + "*"); err != nil || len(left) > 0 {
		t.Errorf("files are left: %v, %v", left, err)
	}
	links, err := filepath.Glob("/var/log/containers/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, i.Dir+"/") {
			t.Errorf("link is left: %s", link)
		}
	}
}
