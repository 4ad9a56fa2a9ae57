package buildkit_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/internal/buildkit/buildkittest"
	"strake.dev/strake/stages"
)

// A recorder keeps all events.
type recorder struct {
	also   stages.Observer
	mu     sync.Mutex
	events []stages.Event
}

func (r *recorder) Observe(e stages.Event) {
	if r.also != nil {
		r.also.Observe(e)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// states lists the last states of the tasks whose name contains text.
func (r *recorder) states(text string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := map[string]string{}
	for _, e := range r.events {
		if e.Task != nil && strings.Contains(e.Task.Name, text) {
			last[e.Task.ID] = e.Task.State
		}
	}
	var states []string
	for _, s := range last {
		states = append(states, s)
	}
	return states
}

func (r *recorder) logged(line string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.events, func(e stages.Event) bool { return e.Type == stages.LogLine && strings.Contains(e.Message, line) })
}

type bench struct {
	address, repo, base string
	client              *buildkit.Client
	// observer sees the events too; it may be nil.
	observer stages.Observer
}

func newBench(t *testing.T) bench {
	address, registry := buildkittest.Daemon(t)
	repo := buildkittest.Repository(t, registry)
	return bench{address: address, repo: repo, base: buildkittest.Busybox(t, repo, "1"), client: buildkit.New(buildkit.ClientOptions{})}
}

func (b bench) build(ctx context.Context, t *testing.T, files map[string]string, s buildkit.Source) (string, *recorder, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		files[name] = strings.ReplaceAll(text, "BASE", b.base)
	}
	buildkittest.Write(t, dir, files)
	s.Root = buildkittest.Root(t, dir)
	if s.Context == "" {
		s.Context = "."
	}
	epoch, err := b.client.Epoch()
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := buildkit.Load(ctx, s, epoch)
	if err != nil {
		t.Fatal(err)
	}
	rec := &recorder{also: b.observer}
	tag, err := name.NewTag(b.repo + ":" + loaded.Parts().Tag())
	if err != nil {
		t.Fatal(err)
	}
	result, err := b.client.Build(ctx, loaded, buildkit.Output{Daemons: []buildkit.Daemon{{Address: b.address}}, Push: []name.Tag{tag}, Name: "app", Cache: t.Name()}, rec)
	if err == nil {
		desc, err := remote.Head(tag)
		if err != nil {
			t.Fatal(err)
		}
		if desc.Digest.String() != result.Digest {
			t.Errorf("build says %s, the registry has %s", result.Digest, desc.Digest)
		}
	}
	return result.Digest, rec, err
}

// image returns the pushed image.
func (b bench) image(t *testing.T, digest string) v1.Image {
	t.Helper()
	ref, err := name.NewDigest(b.repo + "@" + digest)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(ref)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func app() map[string]string {
	return map[string]string{
		"Dockerfile": "FROM BASE AS build\nCOPY . /src\nRUN echo hello from the step; cat /src/main > /out; mkdir /d\nFROM scratch\nCOPY --from=build /out /out\nCOPY --from=build /d /d\n",
		"main":       "package main",
		"run.sh":     "#!/bin/sh\n",
	}
}

func TestBuildIsReproducible(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	first, rec, err := b.build(t.Context(), t, app(), buildkit.Source{})
	if err != nil {
		t.Fatal(err)
	}
	if !rec.logged("app [build 3/3] | hello from the step") {
		t.Errorf("the step's output wasn't told: %v", rec.events)
	}
	if got := rec.states("RUN echo"); !slices.Equal(got, []string{stages.TaskDone}) {
		t.Errorf("states of the RUN step: %v", got)
	}
	// Clamped times have a resolution of a second: a build within the same one would prove nothing.
	time.Sleep(1100 * time.Millisecond)
	second, rec, err := b.build(t.Context(), t, app(), buildkit.Source{Options: buildkit.Options{NoCache: true}})
	if err != nil {
		t.Fatal(err)
	}
	if got := rec.states("RUN echo"); !slices.Equal(got, []string{stages.TaskDone}) {
		t.Errorf("without cache, states of the RUN step: %v", got)
	}
	if first != second {
		t.Errorf("another folder and no cache gave %s, before %s", second, first)
	}
	t.Log("digest:", first)
	third, rec, err := b.build(t.Context(), t, app(), buildkit.Source{})
	if err != nil {
		t.Fatal(err)
	}
	if got := rec.states("RUN echo"); !slices.Equal(got, []string{stages.TaskCached}) {
		t.Errorf("unchanged, states of the RUN step: %v", got)
	}
	if third != first {
		t.Errorf("from the cache: %s, before %s", third, first)
	}
}

func TestOptionsReachTheImage(t *testing.T) {
	b := newBench(t)
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	digest, _, err := b.build(t.Context(), t, map[string]string{
		"src/a": "x",
		"df/D":  "FROM scratch AS small\nARG V\nLABEL v=$V\nCOPY a /\nFROM scratch\n",
	}, buildkit.Source{Context: "src", Dockerfile: "df/D", Options: buildkit.Options{
		Target: "small", Args: map[string]string{"V": "7"}, Labels: map[string]string{"own": "label"}, Platforms: []string{"linux/386"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	config, err := b.image(t, digest).ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.Labels["v"] != "7" || config.Config.Labels["own"] != "label" || config.Architecture != "386" {
		t.Errorf("labels %v, architecture %s", config.Config.Labels, config.Architecture)
	}
	if !config.Created.Equal(time.Unix(1700000000, 0)) {
		t.Errorf("created at %v", config.Created)
	}
}

func TestSeveralPlatforms(t *testing.T) {
	b := newBench(t)
	digest, _, err := b.build(t.Context(), t, map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"},
		buildkit.Source{Options: buildkit.Options{Platforms: []string{"linux/amd64", "linux/arm64"}}})
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.NewDigest(b.repo + "@" + digest)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(ref)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, m := range manifest.Manifests {
		found = append(found, m.Platform.String())
	}
	if !slices.Equal(found, []string{"linux/amd64", "linux/arm64"}) {
		t.Errorf("platforms: %v", found)
	}
}

func TestFailingStep(t *testing.T) {
	b := newBench(t)
	files := map[string]string{
		"sub/Dockerfile": "FROM BASE\n\nRUN i=0; while [ $i -lt 30 ]; do echo line $i; i=$((i+1)); done; \\\n    echo oh no >&2; exit 7\nRUN never\n",
	}
	_, _, err := b.build(t.Context(), t, files, buildkit.Source{Context: "sub"})
	var step *buildkit.StepError
	if !errors.As(err, &step) {
		t.Fatalf("expected a StepError, got %v", err)
	}
	if step.ExitCode != 7 || step.Line != 3 || step.File != "sub/Dockerfile" {
		t.Errorf("exit code %d at %s:%d", step.ExitCode, step.File, step.Line)
	}
	// The order of the two outputs isn't certain.
	if len(step.Log) != 10 || !slices.Contains(step.Log, "oh no") || !slices.Contains(step.Log, "line 29") {
		t.Errorf("last lines: %q", step.Log)
	}
	for _, want := range []string{"build of app failed at sub/Dockerfile:3: RUN i=0;", "exit code 7", "   3 | >>> RUN", "   4 | >>>     echo oh no", "\n  oh no"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("message lacks %q:\n%s", want, err)
		}
	}
}
