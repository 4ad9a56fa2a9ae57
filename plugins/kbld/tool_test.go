//go:build unix

package kbld_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	kbldconfig "carvel.dev/kbld/pkg/kbld/config"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"strake.dev/strake/plugins/kbld"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

// The test's own program is the process of a tool when it is called so.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "kbld-tool" {
		if err := kbld.ServeTool(os.Stdin, os.Stdout, os.Stderr); err != nil {
			panic(err)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func toolCommand(ctx context.Context) (*exec.Cmd, error) {
	return exec.CommandContext(ctx, os.Args[0], "kbld-tool"), nil
}

// imageID is what the scripts say that they have made.
var imageID = strings.Repeat("ab", 32)

// The scripts stand in for tools that can't be had here: they note how they were called, and print what
// the real ones print. DIGEST is that of the image that docker “pushes”.
var scripts = map[string]string{
	"pack":  `echo "===> EXPORTING"; echo "[exporter] *** Images:"; echo "[exporter]       $3 - succeeded"; echo "[exporter] *** Image ID: ` + imageID + `"` + "\n",
	"ko":    `echo "2026/01/01 00:00:00 Building github.com/x for linux/amd64" >&2; echo "ko.local/x-1:` + imageID + `"` + "\n",
	"bazel": `echo "Loaded image ID: sha256:` + imageID + `"; echo "Tagging ` + imageID + ` as bazel:app"` + "\n",
	"docker": `case "$1" in
inspect) echo '[{"Id": "sha256:` + imageID + `", "RepoTags": [], "RepoDigests": ["HOST/new@DIGEST"]}]' ;;
push) echo "The push refers to repository [$2]"; echo "latest: digest: DIGEST size: 528" ;;
esac
`,
}

// A toolbox is a PATH with nothing but scripts.
type toolbox struct {
	*world
	dir, digest string
}

func newToolbox(t *testing.T, own map[string]string) *toolbox {
	t.Helper()
	b := &toolbox{world: newWorld(t), dir: t.TempDir()}
	b.digest = b.push("new:pushed", "built by a tool")
	b.seen()
	for name, text := range scripts {
		if other, ok := own[name]; ok {
			text = other
		}
		if text == "" {
			continue
		}
		text = strings.NewReplacer("HOST", b.host, "DIGEST", b.digest, "DIR", b.dir).Replace(text)
		text = "#!/bin/sh\nPATH=/usr/bin:/bin\necho \"" + name + " $*\" >>" + b.dir + "/calls\n" + text
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", b.dir)
	return b
}

func (b *toolbox) bind(source string) stages.Step {
	plugin := kbld.Plugin(kbld.Deps{Registry: b.client, Builder: b.builder, ToolCommand: toolCommand})
	config := in("sources:\n- {image: app, path: src, " + source + "}\ndestinations:\n- {image: app, newImage: HOST/new, tags: [v1]}")
	return stagetest.Bind(b.t, plugin, strings.ReplaceAll(config, "HOST", b.host))
}

func (b *toolbox) job() *stages.Job {
	return stagetest.NewJob(b.t, stagetest.Case{Manifests: deployment("app"), Files: map[string]string{"src/main.go": "package main\n"}})
}

// calls are how the scripts were called, without what kbld makes up each time.
func (b *toolbox) calls() []string {
	b.t.Helper()
	data, err := os.ReadFile(filepath.Join(b.dir, "calls"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		b.t.Fatal(err)
	}
	var calls []string
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if before, _, ok := strings.Cut(line, ":kbld-rand-"); ok {
			line = before + ":TAG"
		}
		calls = append(calls, line)
	}
	return calls
}

func TestTools(t *testing.T) {
	pushed := func(host, ref string) []string {
		return []string{"docker inspect " + ref, "docker tag " + ref + " " + host + "/new:TAG", "docker push " + host + "/new:TAG", "docker inspect " + host + "/new:TAG"}
	}
	stable := "kbld:app-sha256-" + imageID
	for tool, c := range map[string]struct {
		options, ref string
		calls        []string
	}{
		"pack": {
			"pack: {build: {builder: some/builder, buildpacks: [a, b], rawOptions: [--env, K=v]}}", stable,
			[]string{"pack build --verbose app --path . --builder some/builder --buildpack a --buildpack b --env K=v", "docker tag sha256:" + imageID + " " + stable},
		},
		"ko":    {"ko: {build: {rawOptions: [--tags, x]}}", "ko.local/x-1:" + imageID, []string{"ko publish . --local --tags x"}},
		"bazel": {"bazel: {run: {target: '//:image'}}", stable, []string{"bazel run //:image", "docker tag sha256:" + imageID + " " + stable}},
	} {
		t.Run(tool, func(t *testing.T) {
			b := newToolbox(t, nil)
			step, job := b.bind(c.options), b.job()
			if err := step.(stages.Checker).Check(t.Context(), job); err != nil {
				t.Fatal(err)
			}
			result, changes, err := step.(stages.Planner).Plan(t.Context(), job)
			if err != nil || len(changes) == 0 || len(b.calls()) > 0 || len(writes(b.seen())) > 0 || len(result.Images) > 0 {
				t.Errorf("plan: %v, changes %v, calls %v", err, changes, b.calls())
			}
			result, err = step.Run(t.Context(), job)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(append(c.calls, pushed(b.host, c.ref)...), b.calls()); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			want := b.host + "/new@" + b.digest
			if text := string(result.Manifests); !strings.Contains(text, "image: "+want) || !strings.Contains(text, "path: src\n") {
				t.Errorf("manifests:\n%s", text)
			}
			image := images(job)["app"]
			if image.Action != "built" || !strings.Contains(image.Reason, "only "+tool+" knows") {
				t.Errorf("image: %+v", image)
			}
			if len(result.Images) != 1 || result.Images[0].Image != want || result.Images[0].Annotations[schema.AnnotationBuildInput] != "" {
				t.Errorf("lock: %+v", result.Images)
			}
			if headOf(t, b.host+"/new:v1") != b.digest {
				t.Error("the destination's tag doesn't point to the image")
			}
			logs := text(job)
			if !strings.Contains(logs, "app | starting build (using "+tool+")") {
				t.Errorf("log:\n%s", logs)
			}

			// Under an enforced lock the image is taken from it.
			before := len(b.calls())
			job = b.job()
			job.Lock = lockOf(result, true)
			again, err := step.Run(t.Context(), job)
			if err != nil || string(again.Manifests) != string(result.Manifests) || len(b.calls()) != before {
				t.Errorf("locked: %v, calls %v", err, b.calls()[before:])
			}
			if image := images(job)["app"]; image.Action != "locked" || !strings.Contains(image.Reason, "isn't compared") {
				t.Errorf("image: %+v", image)
			}
			job = b.job()
			job.Lock = &stages.Lock{Enforce: true}
			if _, err := step.Run(t.Context(), job); err == nil || !strings.Contains(err.Error(), "not in the lock file") {
				t.Errorf("not locked: %v", err)
			}
		})
	}
}

func headOf(t *testing.T, ref string) string {
	t.Helper()
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	desc, err := remote.Head(tag)
	if err != nil {
		t.Fatal(err)
	}
	return desc.Digest.String()
}

func text(job *stages.Job) string {
	var lines []string
	for _, e := range stagetest.Recorded(job).Events() {
		if e.Type == stages.LogLine {
			lines = append(lines, e.Message)
		}
	}
	return strings.Join(lines, "\n")
}

func TestToolIsMissing(t *testing.T) {
	for name, c := range map[string]struct {
		own  map[string]string
		want string
	}{
		"tool":   {map[string]string{"pack": ""}, "image app: source src is built by pack and pushed by docker, and pack is not on PATH"},
		"docker": {map[string]string{"docker": ""}, "image app: source src is built by pack and pushed by docker, and docker is not on PATH"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newToolbox(t, c.own)
			step, job := b.bind("pack: {build: {builder: x}}"), b.job()
			err := step.(stages.Checker).Check(t.Context(), job)
			if err == nil || err.Error() != c.want || !strings.Contains(stages.Hint(err), "install "+name[:1]) && name == "docker" {
				t.Errorf("Check: %v (%s)", err, stages.Hint(err))
			}
			if _, err := step.Run(t.Context(), job); err == nil || err.Error() != c.want {
				t.Errorf("Run: %v", err)
			}
		})
	}
}

func TestToolFails(t *testing.T) {
	for name, c := range map[string]struct {
		own  map[string]string
		want string
	}{
		"exit code": {map[string]string{"pack": "echo one; echo two >&2; exit 3\n"}, "image app: build by pack failed: exit status 3\nlast lines:\n"},
		"no image":  {map[string]string{"pack": "echo nothing\n"}, "build by pack failed: Expected to find image ID in pack output"},
		"no digest": {map[string]string{"docker": "[ $1 != inspect ] || echo '[{\"Id\": \"x\"}]'\n"}, "build by pack failed: Expected to find at least one repo digest"},
		"no push":   {map[string]string{"docker": strings.Replace(scripts["docker"], "push) ", "push) echo denied >&2; exit 1; ", 1)}, "denied"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newToolbox(t, c.own)
			_, err := b.bind("pack: {build: {builder: x}}").Run(t.Context(), b.job())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error: %v, expected %q", err, c.want)
			}
		})
	}
}

// stubborn notes its process, starts another one, and both don't care for being told to end.
const stubborn = "trap '' TERM INT HUP\necho $$ >>DIR/pids\nsleep 1000 &\necho $! >>DIR/pids\nwait; sleep 1000\n"

// pids waits for the processes of stubborn.
func (b *toolbox) pids() []int {
	b.t.Helper()
	for range 500 {
		data, _ := os.ReadFile(filepath.Join(b.dir, "pids"))
		if words := strings.Fields(string(data)); len(words) == 2 {
			var pids []int
			for _, word := range words {
				pid, err := strconv.Atoi(word)
				if err != nil {
					b.t.Fatal(err)
				}
				pids = append(pids, pid)
			}
			return pids
		}
		time.Sleep(20 * time.Millisecond)
	}
	b.t.Fatal("the tool wasn't started")
	return nil
}

// gone waits for processes to be gone.
func (b *toolbox) gone(pids []int) {
	b.t.Helper()
	for _, pid := range pids {
		for try := 0; runs(pid); try++ {
			if try == 100 {
				b.t.Errorf("process %d is left", pid)
				_ = syscall.Kill(pid, syscall.SIGKILL)
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// runs tells whether a process runs; one that has ended and that nobody has asked for counts as gone.
func runs(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || !strings.Contains(string(stat), ") Z ")
}

func TestToolEndsWithContext(t *testing.T) {
	b := newToolbox(t, map[string]string{"pack": stubborn})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := b.bind("pack: {build: {builder: x}}").Run(ctx, b.job())
		done <- err
	}()
	pids := b.pids()
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("Run did not return")
	}
	b.gone(pids)
}

// A strake that is killed can't end anything; what it has started notices.
func TestToolEndsWithStrake(t *testing.T) {
	b := newToolbox(t, map[string]string{"pack": stubborn})
	cmd, err := toolCommand(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	builder := "x"
	err = json.NewEncoder(stdin).Encode(map[string]any{"url": "app", "source": kbldconfig.Source{
		Path: t.TempDir(), Pack: &kbldconfig.SourcePackOpts{Build: kbldconfig.SourcePackBuildOpts{Builder: &builder}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	pids := b.pids()
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	b.gone(pids)
}
