package buildkit_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"net"
	"net/http/cgi"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/internal/buildkit/buildkittest"
	"strake.dev/strake/stages"
)

func secretOf(value string, reads *atomic.Int32) buildkit.Secret {
	return func(context.Context) ([]byte, error) {
		reads.Add(1)
		return []byte(value), nil
	}
}

func TestSecret(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const value = "correct-horse-battery-staple"
	var reads, unread atomic.Int32
	options := buildkit.Options{
		Provenance: "max", NoCache: true,
		Secrets: map[string]buildkit.Secret{"token": secretOf(value, &reads), "unused": secretOf("x", &unread)},
	}
	files := map[string]string{"Dockerfile": `FROM BASE
RUN --mount=type=secret,id=token wc -c < /run/secrets/token > /length; cat /run/secrets/token
RUN --mount=type=secret,id=token,env=TOKEN echo "env ${#TOKEN} $TOKEN"
`}
	result, rec, err := b.make(t.Context(), t, files, buildkit.Source{Options: options}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if reads.Load() != 1 || unread.Load() != 0 {
		t.Errorf("the secret was read %d times, the unused one %d times", reads.Load(), unread.Load())
	}
	if !rec.logged("env 28 ***") {
		t.Errorf("the steps didn't see the secret: %s", rec.told(t))
	}
	for where, text := range map[string]string{"image": b.everything(t, result.Digest), "events": rec.told(t)} {
		if strings.Contains(text, value) {
			t.Errorf("the secret is in the %s", where)
		}
	}

	files["Dockerfile"] = "FROM BASE\nRUN --mount=type=secret,id=token echo oh; cat /run/secrets/token; exit 3\n"
	_, rec, err = b.make(t.Context(), t, files, buildkit.Source{Options: options}, nil)
	var step *buildkit.StepError
	if !errors.As(err, &step) || step.ExitCode != 3 || !slices.Contains(step.Log, "***") {
		t.Errorf("error: %v", err)
	}
	if strings.Contains(err.Error(), value) || strings.Contains(rec.told(t), value) {
		t.Error("the secret is in the error or in an event")
	}

	broken := func(context.Context) ([]byte, error) { return nil, errors.New("the vault is closed") }
	files["Dockerfile"] = "FROM BASE\nRUN --mount=type=secret,id=broken cat /run/secrets/broken\n"
	_, _, err = b.make(t.Context(), t, files, buildkit.Source{Options: buildkit.Options{Secrets: map[string]buildkit.Secret{"broken": broken}}}, nil)
	if err == nil || !strings.Contains(err.Error(), "secret broken can't be read: the vault is closed") || !strings.Contains(err.Error(), "Dockerfile:2") {
		t.Errorf("error: %v", err)
	}
	files["Dockerfile"] = "FROM BASE\nRUN --mount=type=secret,id=other,required cat /run/secrets/other\n"
	_, _, err = b.make(t.Context(), t, files, buildkit.Source{Options: options}, nil)
	if err == nil || !strings.Contains(err.Error(), "secret other") {
		t.Errorf("error: %v", err)
	}
}

// An SSH agent that has one key; its socket is at the returned path.
func serveAgent(t *testing.T) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, key, err)
	keys := agent.NewKeyring()
	if err := keys.Add(agent.AddedKey{PrivateKey: key, Comment: "test key"}); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "agent")
	listener, err := net.Listen("unix", socket)
	must(t, listener, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_ = agent.ServeAgent(keys, conn)
				conn.Close()
			}()
		}
	}()
	return socket
}

func TestSSH(t *testing.T) {
	b := newBench(t)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, key, err)
	block, err := ssh.MarshalPrivateKey(key, "")
	keyFile := filepath.Join(t.TempDir(), "id")
	buildkittest.Write(t, filepath.Dir(keyFile), map[string]string{"id": string(pem.EncodeToMemory(must(t, block, err)))})
	block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte("pass"))
	locked := filepath.Join(t.TempDir(), "locked")
	buildkittest.Write(t, filepath.Dir(locked), map[string]string{"locked": string(pem.EncodeToMemory(must(t, block, err)))})

	files := map[string]string{"Dockerfile": "FROM BASE\nRUN --mount=type=ssh,id=git,required [ -S \"$SSH_AUTH_SOCK\" ] && echo an agent is here\n"}
	socket := serveAgent(t)
	for name, c := range map[string]struct {
		paths    []string
		variable string
		want     string
		hint     string
	}{
		"agent of the environment": {variable: socket},
		"agent by its socket":      {paths: []string{socket}},
		"key":                      {paths: []string{keyFile}},
		"no agent":                 {want: "build of app: ssh git: there is no SSH agent: SSH_AUTH_SOCK is not set", hint: "ssh-agent"},
		"missing key":              {paths: []string{"/nope/id"}, want: "build of app: ssh git: stat /nope/id: no such file", hint: "socket of an SSH agent"},
		"locked key":               {paths: []string{locked}, want: "passphrase protected", hint: "without a passphrase"},
	} {
		t.Run(name, func(t *testing.T) {
			b := b
			b.client = buildkit.New(buildkit.ClientOptions{Getenv: func(v string) string {
				return map[string]string{"SSH_AUTH_SOCK": c.variable}[v]
			}})
			options := buildkit.Options{NoCache: true, SSH: map[string][]string{"git": c.paths}}
			_, rec, err := b.make(t.Context(), t, files, buildkit.Source{Options: options}, nil)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(stages.Hint(err), c.hint) {
					t.Errorf("error: %v\nhint: %s", err, stages.Hint(err))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !rec.logged("an agent is here") {
				t.Errorf("the step has no agent: %s", rec.told(t))
			}
		})
	}
}

// serveGit serves a repository with a file of that content, and returns its URL.
func serveGit(t *testing.T, content string) string {
	t.Helper()
	dir := t.TempDir()
	buildkittest.Write(t, dir, map[string]string{"repo/sub/file": content})
	for _, args := range [][]string{
		{"init", "-q", "-b", "main", "."},
		{"add", "."},
		{"-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-q", "-m", "one"},
		{"config", "http.uploadpack", "true"},
	} {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = filepath.Join(dir, "repo")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	core, err := exec.CommandContext(t.Context(), "git", "--exec-path").Output()
	server := httptest.NewServer(&cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(must(t, core, err))), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "HOME=" + dir, "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
	})
	t.Cleanup(server.Close)
	return server.URL + "/repo/.git#main:sub"
}

func TestNamedContexts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	dir := t.TempDir()
	b.write(t, dir, map[string]string{
		"src/Dockerfile": `FROM alpine AS base
COPY --from=folder . /folder
COPY --from=git file /git
COPY --from=other /version-other /other
COPY --from=saved /saved /saved
RUN --mount=from=folder,target=/mnt cat /mnt/kept > /mounted; ls /version-* > /base
`,
		"lib/kept": "kept", "lib/left.tmp": "left out", "lib/.dockerignore": "*.tmp\n",
		"src/.dockerignore": "kept\n",
	})
	other := buildkittest.Busybox(t, b.repo, "other")
	// An image in a layout, that a build has made.
	result, _, err := b.make(t.Context(), t, map[string]string{"Dockerfile": "FROM scratch\nCOPY saved /\n", "saved": "from a layout"}, buildkit.Source{},
		func(o *buildkit.Output) { o.Push, o.Layout, o.Tag = nil, filepath.Join(dir, "images"), "v1" })
	if err != nil {
		t.Fatal(err)
	}
	source := buildkit.Source{Root: buildkittest.Root(t, dir), Context: "src", Options: buildkit.Options{Contexts: map[string]buildkit.Context{
		"alpine": {URL: "docker-image://" + b.base},
		"folder": {Folder: "lib"},
		"git":    {URL: serveGit(t, "from git")},
		"other":  {URL: "docker-image://" + other},
		"saved":  {Layout: "images:v1"},
	}}}
	made, _, err := b.makeIn(t.Context(), t, source, nil)
	if err != nil {
		t.Fatal(err)
	}
	img := b.image(t, made.Digest)
	for name, want := range map[string]string{
		"folder/kept": "kept", "git": "from git", "saved": "from a layout", "other": "", "mounted": "kept", "base": "/version-1\n",
	} {
		if got := file(t, img, name); got != want {
			t.Errorf("%s: %q, expected %q", name, got, want)
		}
	}
	if strings.Contains(b.everything(t, made.Digest), "left out") {
		t.Error("a file that .dockerignore leaves out is in the image")
	}

	// By digest, and from a layout that another tool has written.
	source.Contexts["saved"] = buildkit.Context{Layout: "images@" + result.Digest}
	again, _, err := b.makeIn(t.Context(), t, source, nil)
	if err != nil || again.Digest != made.Digest {
		t.Errorf("by digest: %s, %v", again.Digest, err)
	}
	foreign := layout.Path(filepath.Join(dir, "foreign"))
	if _, err := layout.Write(string(foreign), empty.Index); err != nil {
		t.Fatal(err)
	}
	if err := foreign.AppendImage(b.image(t, made.Digest), layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "app"})); err != nil {
		t.Fatal(err)
	}
	source.Contexts["alpine"] = buildkit.Context{Layout: "foreign:app"}
	if _, _, err = b.makeIn(t.Context(), t, source, nil); err != nil {
		t.Errorf("an image of a foreign layout as base: %v", err)
	}
}

func TestRunOptions(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	files := map[string]string{"Dockerfile": `FROM BASE AS first
RUN echo first ran
FROM first
RUN grep -c example.test /etc/hosts > /hosts; ulimit -n > /files; df -k /dev/shm | tail -1 > /shm; ls /sys/class/net > /net
`}
	options := buildkit.Options{
		Hosts: []string{"example.test=192.0.2.7", "six.test=2001:db8::1"}, Ulimits: []string{"nofile=123:456", "nproc=4000"}, ShmSize: 8 << 20,
		Network: "none", Annotations: map[string]string{"org.example.a": "one, two=3"},
	}
	result, _, err := b.make(t.Context(), t, files, buildkit.Source{Options: options}, nil)
	if err != nil {
		t.Fatal(err)
	}
	img := b.image(t, result.Digest)
	for name, want := range map[string]string{"hosts": "1\n", "files": "123\n", "shm": " 8192 ", "net": "lo\n"} {
		if got := file(t, img, name); !strings.Contains(got, want) {
			t.Errorf("%s: %q, expected %q", name, got, want)
		}
	}
	manifest, err := img.Manifest()
	if got := must(t, manifest, err).Annotations["org.example.a"]; got != "one, two=3" {
		t.Errorf("annotation: %q", got)
	}
	if result.Steps != 2 || result.Size == 0 || !slices.Equal(result.Platforms, []string{"linux/amd64"}) || result.Daemon != b.address || result.Seconds <= 0 {
		t.Errorf("result: %+v", result)
	}

	options.NoCacheFilter = []string{"first"}
	again, rec, err := b.make(t.Context(), t, files, buildkit.Source{Options: options}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := rec.states("RUN echo first ran"); !slices.Equal(got, []string{stages.TaskDone}) {
		t.Errorf("states of the stage without cache: %v", got)
	}
	if again.Digest != result.Digest {
		t.Errorf("first %s, then %s", result.Digest, again.Digest)
	}
	options.NoCacheFilter = nil
	if again, _, err = b.make(t.Context(), t, files, buildkit.Source{Options: options}, nil); err != nil || again.Cached != again.Steps {
		t.Errorf("unchanged: %d of %d steps cached, %v", again.Cached, again.Steps, err)
	}
}

func TestEntitlements(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	files := map[string]string{"Dockerfile": "FROM BASE\nRUN true\n"}
	for name, c := range map[string]struct {
		options buildkit.Options
		want    string
	}{
		"network": {buildkit.Options{Network: "host"}, "network.host"},
		"listed":  {buildkit.Options{Entitlements: []string{"security.insecure"}}, "security.insecure"},
	} {
		refused := b
		refused.address = "unix:///nobody/listens/here"
		_, _, err := refused.make(t.Context(), t, files, buildkit.Source{Options: c.options}, nil)
		if err == nil || !strings.Contains(err.Error(), "build of app: the build asks for the entitlement "+c.want+", which is not allowed") ||
			!strings.Contains(stages.Hint(err), "--allow-entitlement "+c.want) {
			t.Errorf("%s: error %v, hint %q", name, err, stages.Hint(err))
		}
		// The sandbox's daemon grants none.
		allowed := b
		allowed.client = buildkit.New(buildkit.ClientOptions{AllowEntitlements: []string{c.want}})
		_, _, err = allowed.make(t.Context(), t, files, buildkit.Source{Options: c.options}, nil)
		if err == nil || !strings.Contains(err.Error(), c.want+" is not allowed by build daemon configuration") {
			t.Errorf("%s, allowed: %v", name, err)
		}
	}
}

func TestSeveralPlatformsOfRealPrograms(t *testing.T) {
	b := newBench(t)
	files := map[string]string{
		"Dockerfile": `FROM --platform=$BUILDPLATFORM golang:1.26 AS build
ARG TARGETOS TARGETARCH
WORKDIR /src
COPY . .
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags=-buildid= -o /app .
FROM scratch
COPY --from=build /app /app
`,
		"go.mod": "module example.com/app\n\ngo 1.26\n", "main.go": "package main\n\nfunc main() { println(\"hello\") }\n",
	}
	options := buildkit.Options{
		Platforms:   []string{"linux/amd64", "linux/386", "linux/arm64"},
		Annotations: map[string]string{"org.example.each": "e", "index:org.example.all": "a"},
	}
	result, _, err := b.make(t.Context(), t, files, buildkit.Source{Options: options}, nil)
	if err != nil {
		t.Fatal(err)
	}
	index, manifests := b.index(t, result.Digest)
	if !slices.Equal(result.Platforms, options.Platforms) || len(manifests) != 3 || result.Size < 1<<20 {
		t.Errorf("result: %+v, %d manifests", result, len(manifests))
	}
	raw, err := index.IndexManifest()
	if got := must(t, raw, err).Annotations; got["org.example.all"] != "a" || got["org.example.each"] != "" {
		t.Errorf("annotations of the index: %v", got)
	}
	// The machine field of an ELF header, at 18: little-endian.
	for i, machine := range []byte{62, 3, 183} {
		img, err := index.Image(manifests[i].Digest)
		if got := file(t, must(t, img, err), "app"); got[18] != machine {
			t.Errorf("%s: machine %d, expected %d", manifests[i].Platform, got[18], machine)
		}
		manifest, err := img.Manifest()
		if got := must(t, manifest, err).Annotations["org.example.each"]; got != "e" {
			t.Errorf("%s: annotation %q", manifests[i].Platform, got)
		}
	}
}

func TestIndexAnnotationNeedsIndex(t *testing.T) {
	b := newBench(t)
	options := buildkit.Options{Annotations: map[string]string{"index:a": "b"}}
	_, _, err := b.make(t.Context(), t, map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"}, buildkit.Source{Options: options}, nil)
	if err == nil || !strings.Contains(err.Error(), "index annotations not supported for single platform export") {
		t.Errorf("error: %v", err)
	}
}
