package kbld_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	controlapi "github.com/moby/buildkit/api/services/control"
	"github.com/moby/buildkit/client"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/internal/buildkit/buildkittest"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/plugins/kbld"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

// A sandbox is a real daemon and a real registry.
type sandbox struct {
	t                   *testing.T
	address, repo, base string
}

func newSandbox(t *testing.T) *sandbox {
	t.Helper()
	address, host := buildkittest.Daemon(t)
	repo := buildkittest.Repository(t, host)
	return &sandbox{t: t, address: address, repo: repo, base: buildkittest.Busybox(t, repo, "1")}
}

// fill fills REPO and BASE into a case.
func (s *sandbox) fill(c stagetest.Case) stagetest.Case {
	fill := strings.NewReplacer("REPO", s.repo, "BASE", s.base)
	c.Config, c.Manifests = fill.Replace(c.Config), fill.Replace(c.Manifests)
	files := map[string]string{}
	for name, text := range maps.All(c.Files) {
		files[name] = fill.Replace(text)
	}
	c.Files = files
	return c
}

// run runs the plugin with a daemon at an address.
func (s *sandbox) run(ctx context.Context, address string, c stagetest.Case) (*stages.Job, stages.Result, error) {
	s.t.Helper()
	reg, err := registry.New(registry.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	c = s.fill(c)
	plugin := kbld.Plugin(kbld.Deps{Registry: reg, Builder: buildkit.New(buildkit.ClientOptions{Address: address})})
	job := stagetest.NewJob(s.t, c)
	result, err := stagetest.Bind(s.t, plugin, c.Config).Run(ctx, job)
	return job, result, err
}

func (s *sandbox) must(c stagetest.Case) (*stages.Job, stages.Result) {
	s.t.Helper()
	job, result, err := s.run(s.t.Context(), s.address, c)
	if err != nil {
		s.t.Fatalf("Run: %v (hint: %s)", err, stages.Hint(err))
	}
	return job, result
}

// tags lists the tags of a repository.
func (s *sandbox) tags(repo string) []string {
	s.t.Helper()
	r, err := name.NewRepository(repo)
	if err != nil {
		s.t.Fatal(err)
	}
	tags, err := remote.List(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return tags
}

// steps counts the build steps that a job's events tell of.
func steps(job *stages.Job) int {
	n := 0
	for _, e := range stagetest.Recorded(job).Events() {
		if e.Task != nil {
			n++
		}
	}
	return n
}

// noDaemon is an address where nobody answers.
const noDaemon = "tcp://127.0.0.1:1"

func TestRealBuild(t *testing.T) {
	s := newSandbox(t)
	c := stagetest.Case{
		Config: `config:
  sources:
  - {image: app, path: "0"}
  - image: tool
    path: tools/src
    kubectlBuildKit: {build: {file: ../../1/Dockerfile.go, target: small, rawOptions: ["--build-arg=VERSION=7"]}}
  destinations:
  - {image: app, newImage: REPO/app, tags: [latest]}
  - {image: tool, newImage: REPO/tool}
`,
		Manifests: deployment("app", "tool"),
		Files: map[string]string{
			"0/Dockerfile":    "FROM BASE\nCOPY . /src\nRUN cat /src/main.txt > /out\n",
			"0/main.txt":      "one",
			"0/.dockerignore": "ignored\n",
			"0/ignored":       "x",
			"1/Dockerfile.go": "FROM BASE AS build\nARG VERSION\nCOPY . /src\nRUN echo $VERSION > /version; cp -r /src /all\n" +
				"FROM scratch AS small\nCOPY --from=build /version /\nCOPY --from=build /all /all\nFROM scratch\n",
			"1/Dockerfile.go.dockerignore": "secret\n",
			"tools/src/a":                  "a",
			"tools/src/secret":             "s",
		},
	}
	job, first := s.must(c)
	if steps(job) == 0 {
		t.Error("no build step was told")
	}
	app := images(job)["app"]
	if app.Action != "built" {
		t.Errorf("app: %+v", app)
	}

	t.Run("then nothing to do, and no daemon needed", func(t *testing.T) {
		for _, lock := range []*stages.Lock{nil, lockOf(first, false), lockOf(first, true)} {
			c := c
			c.Lock = lock
			job, again, err := s.run(t.Context(), noDaemon, c)
			if err != nil {
				t.Fatal(err)
			}
			if n := steps(job); n != 0 {
				t.Errorf("%d build steps were told", n)
			}
			if diff := cmp.Diff(first, again, sameImages); diff != "" {
				t.Errorf("result differs:\n%s", diff)
			}
		}
		if tags := s.tags(s.repo + "/app"); len(tags) != 2 {
			t.Errorf("tags: %v, expected one of its content and latest", tags)
		}
	})

	t.Run("ignored file changes nothing", func(t *testing.T) {
		c := c
		c.Files = maps.Clone(c.Files)
		c.Files["0/ignored"] = "y"
		c.Files["tools/src/secret"] = "t"
		if _, _, err := s.run(t.Context(), noDaemon, c); err != nil {
			t.Error(err)
		}
	})

	t.Run("one byte changed, one build", func(t *testing.T) {
		c := c
		c.Files = maps.Clone(c.Files)
		// Of equal length, and written within the same second: BuildKit must not take it for the old one.
		c.Files["0/main.txt"] = "two"
		c.Lock = lockOf(first, false)
		job, second := s.must(c)
		if got := images(job); got["app"].Action != "built" || got["app"].Reason != "context 0 changed" || got["tool"].Action != "reused" {
			t.Errorf("images: %+v", got)
		}
		if first.Images[0].Image == second.Images[0].Image {
			t.Error("the image has the same digest")
		}
		if tags := s.tags(s.repo + "/app"); len(tags) != 3 {
			t.Errorf("tags: %v", tags)
		}
		c.Lock.Enforce = true
		var stale *stages.LockError
		if _, _, err := s.run(t.Context(), s.address, c); !errors.As(err, &stale) || stale.Reason != "context 0 changed" {
			t.Errorf("enforced lock: %v", err)
		}
	})
}

func TestDaemonDown(t *testing.T) {
	s := newSandbox(t)
	for _, address := range []string{noDaemon, "unix:///nonexistent/buildkitd.sock"} {
		began := time.Now()
		_, _, err := s.run(t.Context(), address, withSource())
		if err == nil || !strings.Contains(err.Error(), "BuildKit daemon at "+address+" doesn't answer") {
			t.Errorf("error: %v", err)
		}
		for _, want := range []string{"buildkit: {address:", "--buildkit-addr", "BUILDKIT_HOST"} {
			if !strings.Contains(stages.Hint(err), want) {
				t.Errorf("hint %q lacks %q", stages.Hint(err), want)
			}
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("took %v", took)
		}
		t.Log(err)
	}
}

func withSource() stagetest.Case {
	return stagetest.Case{
		Config:    "config: {sources: [{image: app, path: .}], destinations: [{image: app, newImage: REPO/app}]}",
		Manifests: deployment("app"),
		Files:     map[string]string{"Dockerfile": "FROM BASE\nRUN echo begun; sleep 60\n"},
	}
}

func TestCancelWhileBuilding(t *testing.T) {
	s := newSandbox(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// The Dockerfile's name tells this build from others at the daemon.
	file := strings.ReplaceAll(s.repo[strings.LastIndex(s.repo, "/")+1:], "/", "") + ".Dockerfile"
	c := withSource()
	c.Config = strings.Replace(c.Config, "path: .", "path: ., buildkit: {dockerfile: "+file+"}", 1)
	c.Files = map[string]string{file: c.Files["Dockerfile"]}
	var at time.Time
	c.Setup = func(_ testing.TB, job *stages.Job) {
		job.Events = observer(func(e stages.Event) {
			if at.IsZero() && strings.Contains(e.Message, "begun") {
				if active(t, s.address, file) != 1 {
					t.Error("the daemon doesn't know of the build")
				}
				at = time.Now()
				cancel()
			}
		})
	}
	_, _, err := s.run(ctx, s.address, c)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v", err)
	}
	if took := time.Since(at); at.IsZero() || took > 2*time.Second {
		t.Errorf("ended %v after it was cancelled", took)
	}
	for range 50 {
		if active(t, s.address, file) == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Error("the build goes on at the daemon")
}

type observer func(stages.Event)

func (o observer) Observe(e stages.Event) { o(e) }

// active counts the builds of a Dockerfile that the daemon is busy with.
func active(t *testing.T, address, dockerfile string) int {
	t.Helper()
	bk, err := client.New(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer bk.Close()
	stream, err := bk.ControlClient().ListenBuildHistory(t.Context(), &controlapi.BuildHistoryRequest{ActiveOnly: true, EarlyExit: true})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for {
		e, err := stream.Recv()
		if err != nil {
			return n
		}
		if e.GetRecord().GetFrontendAttrs()["filename"] == dockerfile && e.GetType() != controlapi.BuildHistoryEventType_DELETED {
			n++
		}
	}
}

// An image goes to a registry that the daemon has no reason to trust, with the certificate that the
// client was given.
func TestRealPrivateCA(t *testing.T) {
	address, _ := buildkittest.Daemon(t)
	w, _ := newTLSWorld(t, true)
	run := func(reg *registry.Client) (*stages.Job, stages.Result, error) {
		c := appCase
		c.Config = strings.ReplaceAll(c.Config, "HOST", w.host)
		c.Files = map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"}
		plugin := kbld.Plugin(kbld.Deps{Registry: reg, Builder: buildkit.New(buildkit.ClientOptions{Address: address})})
		job := stagetest.NewJob(t, c)
		result, err := stagetest.Bind(t, plugin, c.Config).Run(t.Context(), job)
		return job, result, err
	}
	for _, want := range []string{"built", "reused"} {
		job, result, err := run(w.client)
		if err != nil {
			t.Fatal(err)
		}
		if got := images(job)["app"]; got.Action != want || !strings.HasPrefix(got.To, w.host+"/app@sha256:") {
			t.Errorf("image: %+v, expected it %s", got, want)
		}
		ref, err := name.NewDigest(result.Images[0].Image)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.client.Get(t.Context(), ref); err != nil {
			t.Errorf("the registry lacks it: %v", err)
		}
	}

	stranger, err := registry.New(registry.Options{FirstWait: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = run(stranger)
	if err == nil || !strings.Contains(err.Error(), "certificate signed by unknown authority") || !strings.Contains(stages.Hint(err), "--registry-ca-cert-path") {
		t.Errorf("error: %v (hint: %s)", err, stages.Hint(err))
	}
}
