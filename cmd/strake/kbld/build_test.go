package kbld_test

import (
	"context"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"strake.dev/strake/internal/buildkit/buildkittest"
)

// builds is a Config with one source for each of the builders that BuildKit takes over, and one that
// two names share.
const builds = config + `sources:
- {image: by-docker, path: src, docker: {build: {file: other/Dockerfile, rawOptions: ["--build-arg=V=UNIQUE"]}}}
- {image: by-buildx, path: ABSOLUTE/src, docker: {buildx: {target: small, rawOptions: ["--platform=linux/amd64"]}}}
- {image: by-kubectl, path: sub/../src, kubectlBuildkit: {build: {noCache: true}}}
- {imageRepo: by-name, path: src}
destinations:
- {image: by-docker, newImage: REPO/a, tags: [v1]}
- {image: by-buildx, newImage: REPO/b}
- {image: by-kubectl, newImage: REPO/c}
- {imageRepo: by-name, newImage: REPO/d}
---
`

func TestBuild(t *testing.T) {
	address, host := buildkittest.Daemon(t)
	repo := buildkittest.Repository(t, host)
	dockerfile := "FROM " + buildkittest.Busybox(t, repo, "1") + " AS small\nARG V=0\nCOPY main.txt /\nRUN [\"/bin/sh\", \"-c\", \"/bin/busybox echo built $V\"]\n"
	dir := folder(t, nil)
	fill := strings.NewReplacer("REPO", repo, "ABSOLUTE", dir, "UNIQUE", path.Base(repo)).Replace
	files := map[string]string{
		"all.yml":        fill(builds + deployment("by-docker", "by-buildx", "by-kubectl", "by-name:1")),
		"bad.yml":        fill(config + "sources: [{image: app, path: bad}]\ndestinations: [{image: app, newImage: REPO/bad}]\n---\n" + deployment("app")),
		"src/Dockerfile": dockerfile + "FROM small\n", "src/other/Dockerfile": dockerfile, "src/main.txt": "one", "sub/x": "", ".gitignore": ".cache\n",
		"bad/Dockerfile": strings.Replace(dockerfile, "echo built $V", "sh -c 'echo sorry; exit 3'", 1), "bad/main.txt": "",
	}
	write(t, dir, files)
	git(t, dir, "init", "-q")
	git(t, dir, "add", ".")
	git(t, dir, "-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "-qm", "x")
	sha := strings.TrimSpace(git(t, dir, "rev-parse", "HEAD"))
	env := []string{"BUILDKIT_HOST=" + address}

	first := run(t, ours(t.Context(), call{args: []string{"-f", "all.yml", "--imgpkg-lock-output", "lock.yml"}, dir: dir, env: env}))
	if first.Code != 0 {
		t.Fatal(first.Stderr)
	}
	// The manifests have kbld's shape: local and git origins, tags, digests of the destinations.
	for _, want := range []string{
		`- image: ` + repo + `/[abcd]@sha256:[0-9a-f]{64}\n`,
		`- local:\n +path: ` + dir + `/src\n`,
		`- git:\n +dirty: false\n +remoteURL: <unknown>\n +sha: ` + sha + `\n`,
		`- tagged:\n +tags:\n +- v1\n`,
	} {
		if !regexp.MustCompile(want).MatchString(first.Stdout) {
			t.Errorf("manifests lack %s:\n%s", want, first.Stdout)
		}
	}
	for _, want := range []string{
		`(?m)^by-docker \| starting build \(using BuildKit\): -> ` + repo + `/a:strake-`, `(?m)^by-docker \| .*built ` + path.Base(repo) + `$`,
		`(?m)^by-docker \| finished build \(using BuildKit\)$`, `(?m)^resolve \| final: by-name:1 -> ` + repo + `/d@sha256:`,
	} {
		if !regexp.MustCompile(want).MatchString(first.Stderr) {
			t.Errorf("progress lacks %s:\n%s", want, first.Stderr)
		}
	}
	tag, err := name.NewTag(repo + "/a:v1")
	if err != nil {
		t.Fatal(err)
	}
	if desc, err := remote.Head(tag); err != nil || !strings.Contains(first.Stdout, repo+"/a@"+desc.Digest.String()) {
		t.Errorf("the destination's tag: %v", err)
	}
	if !strings.Contains(first.Files["lock.yml"], "kbld.carvel.dev/id: by-name:1") {
		t.Errorf("lock:\n%s", first.Files["lock.yml"])
	}

	// Again there is nothing to build, and no daemon is needed.
	again := run(t, ours(t.Context(), call{args: []string{"-f", "all.yml"}, dir: dir, env: []string{"BUILDKIT_HOST=tcp://127.0.0.1:1"}}))
	if again.Code != 0 || again.Stdout != first.Stdout || !strings.Contains(again.Stderr, "by-name:1 | nothing to build: ") {
		t.Errorf("again: %d\n%s", again.Code, again.Stderr)
	}
	// Manifests that are to be the same everywhere have no path of this machine.
	everywhere := run(t, ours(t.Context(), call{args: []string{"-f", "all.yml"}, dir: dir, env: append(env, "SOURCE_DATE_EPOCH=1")}))
	if everywhere.Code != 0 || strings.Contains(everywhere.Stdout, dir) || !strings.Contains(everywhere.Stdout, "path: src\n") {
		t.Errorf("reproducible: %d\n%s%s", everywhere.Code, everywhere.Stdout, everywhere.Stderr)
	}
	bad := run(t, ours(t.Context(), call{args: []string{"-f", "bad.yml"}, dir: dir, env: env}))
	if bad.Code != 1 || bad.Stdout != "" || !strings.Contains(bad.Stderr, "exit code 3") || !strings.Contains(bad.Stderr, "sorry") {
		t.Errorf("failing: %d\n%s", bad.Code, bad.Stderr)
	}
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %v: %v", args, err)
	}
	return string(out)
}

// What kbld gets wrong, and strake doesn't.
func TestFaults(t *testing.T) {
	host, _ := newRegistry(t)
	dir := folder(t, map[string]string{
		"strategy.yml":       config + "searchRules: [{keyMatcher: {name: image}, updateStrategy: {entireString: {}}}]\n---\n" + deployment(host+"/app:1"),
		"app.yml":            deployment(host + "/app:1"),
		"no-destination.yml": config + "sources: [{image: app, path: .}]\n---\n" + deployment("app"),
		"Dockerfile":         "FROM scratch\n",
	})
	for line, want := range map[string]string{
		"-f strategy.yml":                   "kbld: Error: Config: searchRules[0].updateStrategy.entireString: unknown update strategy (known: none, entireValue, json, yaml)\n",
		"-f app.yml --build-concurrency 0":  "kbld: Error: --build-concurrency 0: expected at least 1\n",
		"-f app.yml --build-concurrency -1": "kbld: Error: --build-concurrency -1: expected at least 1\n",
		"-f no-destination.yml": "kbld: Error: \n- Resolving image 'app': has a source, but no destination to push it to\n" +
			"  hint: add “destinations: [{image: app, newImage: registry.example.com/team/app}]” to the kbld Config\n",
	} {
		t.Run(line, func(t *testing.T) {
			got := run(t, ours(t.Context(), call{args: strings.Fields(line), dir: dir}))
			if got.Code != 1 || got.Stdout != "" || got.Stderr != want {
				t.Errorf("exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
			}
		})
	}
}

func TestFullDisk(t *testing.T) {
	dir := folder(t, map[string]string{"a.yml": "kind: X\napiVersion: v1\n"})
	cmd := ours(t.Context(), call{args: []string{"-f", "a.yml"}, dir: dir})
	shell := exec.CommandContext(t.Context(), "/bin/sh", "-c", `exec "$0" kbld -f a.yml >/dev/full`, filepath.Join(dir, "strake"))
	shell.Dir, shell.Env = cmd.Dir, cmd.Env
	link(t, cmd.Path, filepath.Join(dir, "strake"))
	out, err := shell.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "standard output: ") {
		t.Errorf("%v: %s", err, out)
	}
}

// Input that never ends doesn't keep a signal from ending the program.
func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := ours(ctx, call{args: []string{"-f", "-"}, dir: folder(t, nil)})
	cmd.Stdin = nil
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	interrupt(t, cmd.Process)
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 || !strings.Contains(errs.String(), "kbld: Error: interrupted") {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
}
