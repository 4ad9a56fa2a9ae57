package sidecar_test

import (
	"bytes"
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"strake.dev/strake/internal/buildkit/buildkittest"
	"strake.dev/strake/internal/git/gittest"
	"strake.dev/strake/internal/hook"
)

// nobody is an address that nobody listens at.
const nobody = "BUILDKIT_HOST=tcp://127.0.0.1:1"

// with returns a container like c with other variables; the last one of a name counts.
func (c *container) with(env ...string) *container {
	other := *c
	other.env = append(slices.Clone(c.env), env...)
	return &other
}

var image = regexp.MustCompile(`image: (\S+@sha256:[0-9a-f]{64})`)

func imageOf(t *testing.T, r result) string {
	t.Helper()
	m := image.FindStringSubmatch(r.stdout)
	if r.code != 0 || m == nil {
		t.Fatalf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	return m[1]
}

// The App of the proof of concept: the source, the platform's Dockerfiles and the configuration come from
// three repositories.
func seed(t *testing.T, repo, content string) map[string]string {
	base := buildkittest.Busybox(t, repo, "1")
	return map[string]string{
		"0/main.go": content, "0/.git/HEAD": "changes each time: " + time.Now().String(),
		"1/Dockerfile.go":              "FROM " + base + "\nARG VERSION\nCOPY . /src/\nRUN [\"/bin/sh\", \"-c\", \"test ! -e /src/.git && echo $VERSION > /version\"]\n",
		"1/Dockerfile.go.dockerignore": "**/.git\n",
		"1/build.yml": "#@ load(\"@ytt:data\", \"data\")\n" + strings.Replace(build(repo, "./0",
			"  kubectlBuildKit:\n    build:\n      file: #@ \"../1/Dockerfile.\" + data.values.runtime\n      rawOptions: [\"--build-arg=VERSION=1\"]\n"), "#@", "#@", 1),
		"1/values.yml": "#@data/values\n---\nruntime: go\n",
		"2/config.yml": deployment,
	}
}

func TestSeed(t *testing.T) {
	t.Parallel()
	address, host := buildkittest.Daemon(t)
	repo := buildkittest.Repository(t, host)
	c := newContainer(t, hook.DestinationsVariable+"="+repo, "BUILDKIT_HOST="+address)

	first := c.reconcile(c.work(seed(t, repo, "one")), "1", "2")
	if got := imageOf(t, first); !strings.HasPrefix(got, repo+"@") {
		t.Errorf("image %s", got)
	}
	if want := "resolve | final: app -> " + imageOf(t, first) + "\n"; first.stderr != want {
		t.Errorf("standard error:\n%swant:\n%s", first.stderr, want)
	}
	if strings.Contains(first.stdout, "kbld.k14s.io/v1alpha1") || strings.Contains(first.stdout, hook.Annotation) || strings.Contains(first.stdout, c.mem) {
		t.Errorf("the output has what is only for kbld:\n%s", first.stdout)
	}
	before := tags(t, repo)
	if len(before) != 1 {
		t.Errorf("tags: %v", before)
	}
	// From then on nothing is built, and no daemon is asked.
	for range 20 {
		work := c.work(seed(t, repo, "one"))
		if again := c.with(nobody).reconcile(work, "1", "2"); again != first {
			t.Fatalf("again: %+v", again)
		}
		_ = os.RemoveAll(work)
	}
	if after := tags(t, repo); !slices.Equal(before, after) {
		t.Errorf("tags: %v", after)
	}
	changed := c.reconcile(c.work(seed(t, repo, "two")), "1", "2")
	if imageOf(t, changed) == imageOf(t, first) {
		t.Error("a changed source gives the same image")
	}
	if left, _ := filepath.Glob(filepath.Join(c.home, ".strake-hook", "temp", "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Where ytt isn't strake, or isn't there, a path among the arguments tells the App's folder.
func TestPaths(t *testing.T) {
	t.Parallel()
	address, host := buildkittest.Daemon(t)
	repo := buildkittest.Repository(t, host)
	c := newContainer(t, hook.DestinationsVariable+"="+repo, "BUILDKIT_HOST="+address)
	work := c.work(map[string]string{"0/src/Dockerfile": "FROM scratch\nCOPY x /\n", "0/src/x": repo, "0/config/build.yml": build(repo, "src", "")})
	got := c.call(deployment, "kbld", "-f", "-", "-f", work+"/0/config/build.yml", "--build=false")
	imageOf(t, got)
	// The whole App, as for “template: [{kbld: {}}]”.
	put(t, work, map[string]string{"0/config/d.yml": deployment})
	if whole := c.with(nobody).call("", "kbld", "-f", work+"/0", "--build=false"); whole.stdout != got.stdout {
		t.Errorf("%+v", whole)
	}
}

// Two Apps whose manifests are equal, byte for byte, get the image of their own source each.
func TestTwins(t *testing.T) {
	t.Parallel()
	address, host := buildkittest.Daemon(t)
	repo := buildkittest.Repository(t, host)
	c := newContainer(t, hook.DestinationsVariable+"="+repo, "BUILDKIT_HOST="+address)
	var works []string
	for _, content := range []string{"one", "two"} {
		works = append(works, c.work(map[string]string{"0/src/Dockerfile": "FROM scratch\nCOPY x /\n", "0/src/x": content + repo, "0/config/all.yml": build(repo, "src", "") + "---\n" + deployment}))
	}
	results := make([]result, 8)
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() { results[i] = c.reconcile(works[i%2], "0/config") })
	}
	wg.Wait()
	one, two := imageOf(t, results[0]), imageOf(t, results[1])
	if one == two {
		t.Error("both have one image")
	}
	for i, r := range results {
		if want := []string{one, two}[i%2]; imageOf(t, r) != want {
			t.Errorf("call %d: %s, want %s", i, imageOf(t, r), want)
		}
	}
	if got := tags(t, repo); len(got) != 2 {
		t.Errorf("tags: %v", got)
	}
}

// random is a Dockerfile that makes another image each time it is built.
func random(t *testing.T, repo, more string) string {
	return "FROM " + buildkittest.Busybox(t, repo, "1") + "\nRUN [\"/bin/sh\", \"-c\", \"/bin/busybox dd if=/dev/urandom of=/random bs=16 count=1\"]\n" + more
}

const noCache = "  docker: {build: {noCache: true}}\n"

func TestAtOnce(t *testing.T) {
	t.Parallel()
	address, host := buildkittest.Daemon(t)
	repo := buildkittest.Repository(t, host)
	c := newContainer(t, hook.DestinationsVariable+"="+repo, "BUILDKIT_HOST="+address)
	results := make([]result, 8)
	works := make([]string, len(results))
	files := map[string]string{"0/src/Dockerfile": random(t, repo, ""), "0/config/all.yml": build(repo, "src", noCache) + "---\n" + deployment}
	for i := range works {
		works[i] = c.work(files)
	}
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() { results[i] = c.reconcile(works[i], "0/config") })
	}
	wg.Wait()
	for _, r := range results {
		if imageOf(t, r) != imageOf(t, results[0]) {
			t.Fatal("it was built more than once")
		}
	}
}

// A process that is killed leaves no lock, and what it leaves of files the next one removes.
func TestKilled(t *testing.T) {
	t.Parallel()
	address, host := buildkittest.Daemon(t)
	repo := buildkittest.Repository(t, host)
	c := newContainer(t, hook.DestinationsVariable+"="+repo, "BUILDKIT_HOST="+address)
	work := c.work(map[string]string{"0/src/Dockerfile": random(t, repo, "RUN [\"/bin/sh\", \"-c\", \"/bin/busybox sleep 5\"]\n"), "0/config/all.yml": build(repo, "src", noCache) + "---\n" + deployment})
	rendered := c.call("", "ytt", "-f", work+"/0/config")
	cmd := c.command(t.Context(), rendered.stdout, "kbld", "-f", "-", "--build=false")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lock := filepath.Join(c.home, ".strake-hook", "locks", "build-0")
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat(lock); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no build begins")
		}
	}
	time.Sleep(time.Second)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if got := tags(t, repo); len(got) != 0 {
		t.Errorf("tags after the kill: %v", got)
	}
	imageOf(t, c.reconcile(work, "0/config"))
	if left, _ := filepath.Glob(filepath.Join(c.home, ".strake-hook", "temp", "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// What becomes an App's status is short and has no secret.
func TestFailure(t *testing.T) {
	address, host := buildkittest.Daemon(t)
	repo := buildkittest.Repository(t, host)
	c := newContainer(t, "BUILDKIT_HOST="+address)
	put(t, c.home, map[string]string{
		"token": "s3cr3t-value", "policy.yaml": "apiVersion: strake.dev/v1alpha1\nkind: HookPolicy\ndestinations: [" + repo + "]\nlimits: {timeout: 10s}\nsecrets: [{id: token, file: " + c.home + "/token}]\n",
	})
	c = c.with(hook.PolicyVariable + "=" + c.home + "/policy.yaml")
	base := buildkittest.Busybox(t, repo, "1")
	for name, tc := range map[string]struct {
		run  string
		want []string
	}{
		"long output": {
			`i=0; while test $i -lt 500; do echo line $i of a long, long, long, long output that nobody wants to read in a status; i=$((i+1)); done; yes sorry | head -c 20000; exit 3`,
			[]string{"build of app failed at src/Dockerfile:2", "exit code 3", "sorry"},
		},
		"secret": {`cat /run/secrets/token; echo; exit 4`, []string{"exit code 4", "***"}},
		"late":   {`sleep 60`, []string{"kbld: Error: build of app took longer than 10s\n  hint: that is the limit of the cluster's policy\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			script := strings.ReplaceAll(strings.NewReplacer("yes ", "/bin/busybox yes ", "head ", "/bin/busybox head ", "cat ", "/bin/busybox cat ", "sleep ", "/bin/busybox sleep ").Replace(tc.run), `"`, `\"`)
			work := c.work(map[string]string{
				"0/src/Dockerfile": "FROM " + base + "\nRUN --mount=type=secret,id=token [\"/bin/sh\", \"-c\", \"" + script + "\"]\n",
				"0/config/all.yml": build(repo, "src", "  docker: {build: {rawOptions: [\"--secret=id=token\"]}}\n") + "---\n" + deployment,
			})
			got := c.reconcile(work, "0/config")
			if got.code != 1 || got.stdout != "" || len(got.stderr) > 4200 || strings.Contains(got.stderr, "s3cr3t") || strings.Contains(got.stderr, c.mem) {
				t.Errorf("exit code %d, %d bytes\n%s", got.code, len(got.stderr), got.stderr)
			}
			for _, want := range tc.want {
				if !strings.Contains(got.stderr, want) {
					t.Errorf("lacks %q:\n%s", want, got.stderr)
				}
			}
		})
	}
}

// A git repository needs no folder, and so no stamp.
func TestRepository(t *testing.T) {
	t.Parallel()
	address, host := buildkittest.Daemon(t)
	repo := buildkittest.Repository(t, host)
	c := newContainer(t, hook.DestinationsVariable+"="+repo, "BUILDKIT_HOST="+address)
	root := t.TempDir()
	source := gittest.New(t, root, "app.git")
	source.Write("app/Dockerfile", "FROM scratch\nCOPY x /\n", 0o644)
	source.Write("app/x", repo, 0o644)
	sha := source.Commit("one")
	server := httptest.NewServer(gittest.Handler(t, root))
	t.Cleanup(server.Close)
	in := build(repo, server.URL+"/app.git#main:app", "") + "---\n" + deployment

	first := c.call(in, "kbld", "-f", "-", "--build=false")
	imageOf(t, first)
	if !strings.Contains(first.stdout, "sha: "+sha) {
		t.Errorf("the origin isn't the commit:\n%s", first.stdout)
	}
	if again := c.with(nobody).call(in, "kbld", "-f", "-", "--build=false"); again != first {
		t.Errorf("again: %+v", again)
	}
	source.Write("app/x", repo+" changed", 0o644)
	source.Commit("two")
	if moved := c.call(in, "kbld", "-f", "-", "--build=false"); imageOf(t, moved) == imageOf(t, first) {
		t.Error("a new commit gives the old image")
	}
	server.Close()
	gone := c.call(in, "kbld", "-f", "-", "--build=false")
	if gone.code != 1 || !strings.Contains(gone.stderr, "source "+server.URL+"/app.git#main:app: git ls-remote") {
		t.Errorf("without the server: %d\n%s", gone.code, gone.stderr)
	}
}

// An interrupt ends a build, at the daemon too, and the locks are free.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	address, host := buildkittest.Daemon(t)
	repo := buildkittest.Repository(t, host)
	c := newContainer(t, hook.DestinationsVariable+"="+repo, "BUILDKIT_HOST="+address)
	work := c.work(map[string]string{"0/src/Dockerfile": random(t, repo, "RUN [\"/bin/sh\", \"-c\", \"/bin/busybox sleep 60\"]\n"), "0/config/all.yml": build(repo, "src", noCache) + "---\n" + deployment})
	rendered := c.call("", "ytt", "-f", work+"/0/config")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := c.command(ctx, rendered.stdout, "kbld", "-f", "-", "--build=false")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(4 * time.Second)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
	if left, _ := filepath.Glob(filepath.Join(c.home, ".strake-hook", "temp", "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Builds for one destination share what they mount as a cache, and others don't get it.
func TestCacheMounts(t *testing.T) {
	t.Parallel()
	address, host := buildkittest.Daemon(t)
	repo := buildkittest.Repository(t, host)
	c := newContainer(t, hook.DestinationsVariable+"="+repo, "BUILDKIT_HOST="+address)
	base := buildkittest.Busybox(t, repo, "1")
	make := func(destination, content string) result {
		return c.reconcile(c.work(map[string]string{
			"0/src/Dockerfile": "FROM " + base + "\nCOPY x /\nRUN --mount=type=cache,target=/cache [\"/bin/sh\", \"-c\", \"test ! -e /cache/mark && echo > /cache/mark\"]\n",
			"0/src/x":          content + repo,
			"0/config/all.yml": build(destination, "src", "  docker: {build: {rawOptions: [\"--build-arg=BUILDKIT_CACHE_MOUNT_NS="+repo+"\"]}}\n") + "---\n" + deployment,
		}), "0/config")
	}
	imageOf(t, make(repo+"/a", "one"))
	imageOf(t, make(repo+"/b", "one"))
	if again := make(repo+"/a", "two"); again.code != 1 || !strings.Contains(again.stderr, "exit code 1") {
		t.Errorf("the destination's own cache isn't there: %d\n%s", again.code, again.stderr)
	}
}
