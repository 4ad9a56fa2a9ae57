package buildkit_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/internal/buildkit/buildkittest"
	"strake.dev/strake/stages"
)

// slow is a Dockerfile whose build takes a while after it has logged “begun”.
const slow = "FROM BASE\nRUN echo begun; sleep 3; echo built >/file\n"

// A pooled bench builds with daemons of its own.
type pooled struct {
	bench
	daemons []buildkit.Daemon
	result  buildkit.Result
	*recorder
}

func newPool(t *testing.T, daemons ...buildkit.Daemon) *pooled {
	t.Helper()
	registry := os.Getenv("STRAKE_SANDBOX_REGISTRY")
	if registry == "" {
		t.Skip("needs the sandbox: STRAKE_SANDBOX_REGISTRY is not set")
	}
	return newPoolAt(t, registry, buildkit.New(buildkit.ClientOptions{}), daemons)
}

func newPoolAt(t *testing.T, registry string, client *buildkit.Client, daemons []buildkit.Daemon) *pooled {
	t.Helper()
	repo := buildkittest.Repository(t, registry)
	return &pooled{bench: bench{repo: repo, base: buildkittest.Busybox(t, repo, "1"), client: client}, daemons: daemons}
}

// build builds a Dockerfile and pushes the image, and keeps result and events.
func (p *pooled) build(ctx context.Context, t *testing.T, dockerfile string) error {
	t.Helper()
	dir := t.TempDir()
	buildkittest.Write(t, dir, map[string]string{"Dockerfile": strings.ReplaceAll(dockerfile, "BASE", p.base)})
	return p.buildDir(ctx, t, dir)
}

// buildDir is [pooled.build] of a folder.
func (p *pooled) buildDir(ctx context.Context, t *testing.T, dir string) error {
	t.Helper()
	b, err := buildkit.Load(ctx, buildkit.Source{Root: buildkittest.Root(t, dir), Context: "."}, "0")
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(p.repo + ":" + b.Parts().Tag())
	if err != nil {
		t.Fatal(err)
	}
	p.recorder = &recorder{also: p.observer}
	p.result, err = p.client.Build(ctx, b, buildkit.Output{Daemons: p.daemons, Push: []name.Tag{tag}, Name: "app", Cache: t.Name()}, p.recorder)
	return err
}

// warnings lists the warnings of the last build.
func (p *pooled) warnings() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []string
	for _, e := range p.events {
		if e.Type == stages.Warning {
			list = append(list, e.Message)
		}
	}
	return list
}

// count tells how often a line was logged in the last build.
func (p *pooled) count(line string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, e := range p.events {
		if e.Type == stages.LogLine && strings.HasSuffix(e.Message, line) {
			n++
		}
	}
	return n
}

// two starts two daemons; the first is the one that the test's builds prefer.
func two(t *testing.T) (first, second *buildkittest.Server) {
	t.Helper()
	first, second = buildkittest.Start(t), buildkittest.Start(t)
	if buildkit.Preferred(at(first.Address, second.Address), t.Name())[0].Address != first.Address {
		first, second = second, first
	}
	return first, second
}

func at(addresses ...string) []buildkit.Daemon {
	daemons := make([]buildkit.Daemon, len(addresses))
	for i, a := range addresses {
		daemons[i] = buildkit.Daemon{Address: a}
	}
	return daemons
}

// tags lists the tags of the repository.
func (p *pooled) tags(t *testing.T) []string {
	t.Helper()
	repo, err := name.NewRepository(p.repo)
	if err != nil {
		t.Fatal(err)
	}
	tags, err := remote.List(repo)
	if err != nil {
		t.Fatal(err)
	}
	return tags
}

// A build goes on with the other daemon when the one that it is with dies, and later builds don't ask
// the dead one.
func TestDaemonOfTwoIsKilledWhileBuilding(t *testing.T) {
	t.Parallel()
	first, second := two(t)
	p := newPool(t, at(first.Address, second.Address)...)
	var killed time.Time
	p.observer = onLog{"begun", func() { killed = time.Now(); first.Kill() }}
	if err := p.build(t.Context(), t, slow); err != nil {
		t.Fatalf("%v (hint: %s)", err, stages.Hint(err))
	}
	t.Logf("%v from the kill to the end", time.Since(killed))
	if p.result.Daemon != second.Address {
		t.Errorf("built at %s, expected %s", p.result.Daemon, second.Address)
	}
	if tags := p.tags(t); len(tags) != 1 {
		t.Errorf("tags: %v", tags)
	}
	p.image(t, p.result.Digest)
	want := "BuildKit daemon at " + first.Address + " went away during the build of app: "
	if w := p.warnings(); len(w) != 1 || !strings.HasPrefix(w[0], want) || !strings.HasSuffix(w[0], "; app is built at "+second.Address+" instead") {
		t.Errorf("warnings: %q", w)
	}
	t.Log(p.warnings())

	began := time.Now()
	if err := p.build(t.Context(), t, "FROM BASE\nCOPY Dockerfile /\n"); err != nil || len(p.warnings()) > 0 {
		t.Errorf("the next build: %v, warnings %q", err, p.warnings())
	}
	t.Logf("%v for the next build", time.Since(began))
}

func TestOnlyDaemonIsKilledWhileBuilding(t *testing.T) {
	s := buildkittest.Start(t)
	p := newPool(t, at(s.Address)...)
	var when time.Time
	p.observer = onLog{"begun", func() { when = time.Now(); s.Kill() }}
	err := p.build(t.Context(), t, slow)
	if err == nil || !strings.Contains(err.Error(), "BuildKit daemon at "+s.Address+" went away during the build of app: ") {
		t.Errorf("error: %v", err)
	}
	if took := time.Since(when); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
	if hint := stages.Hint(err); !strings.Contains(hint, "is it running?") {
		t.Errorf("hint: %q", hint)
	}
	if warnings := p.warnings(); len(warnings) > 0 {
		t.Errorf("warnings: %q", warnings)
	}
	t.Log(err)
}

func TestAllDaemonsAreDead(t *testing.T) {
	s := buildkittest.Start(t)
	s.Kill()
	nobody := "unix://" + filepath.Join(t.TempDir(), "nobody")
	p := newPool(t, at(s.Address, nobody)...)
	began := time.Now()
	err := p.build(t.Context(), t, slow)
	if err == nil {
		t.Fatal("it was built")
	}
	for _, want := range []string{
		"build of app: none of its 2 BuildKit daemons is left:\n  BuildKit daemon at ",
		"BuildKit daemon at " + s.Address + " doesn't answer: dial unix " + strings.TrimPrefix(s.Address, "unix://") + ": connect: connection refused",
		"BuildKit daemon at " + nobody + " doesn't answer: dial unix " + strings.TrimPrefix(nobody, "unix://") + ": connect: no such file or directory",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error: %v\nexpected %q", err, want)
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	if len(p.warnings()) != 1 {
		t.Errorf("warnings: %q", p.warnings())
	}
}

// A daemon that takes connections and never answers is waited for once, whatever the number of builds.
func TestSilentDaemonIsAskedOnce(t *testing.T) {
	t.Parallel()
	address, _ := buildkittest.Daemon(t)
	dir, silent := t.TempDir(), ""
	for i := 0; silent == "" || buildkit.Preferred(at(silent, address), t.Name())[0].Address == address; i++ {
		silent = "unix://" + filepath.Join(dir, strconv.Itoa(i))
	}
	l, err := net.Listen("unix", strings.TrimPrefix(silent, "unix://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p := newPool(t, at(silent, address)...)
	began := time.Now()
	warnings := make(chan []string)
	for range 3 {
		go func() {
			q := &pooled{bench: p.bench, daemons: p.daemons}
			if err := q.build(t.Context(), t, "FROM BASE\n"); err != nil {
				t.Error(err)
			}
			warnings <- q.warnings()
		}()
	}
	var all []string
	for range 3 {
		all = append(all, <-warnings...)
	}
	if took := time.Since(began); took < 7*time.Second || took > 13*time.Second {
		t.Errorf("took %v", took)
	}
	if want := "BuildKit daemon at " + silent + " doesn't answer: no answer within 8s; app is built at " + address + " instead"; len(all) != 1 || all[0] != want {
		t.Errorf("warnings: %q, expected %q", all, want)
	}
}

// A build that fails is not tried elsewhere.
func TestFailingStepIsNotTriedElsewhere(t *testing.T) {
	t.Parallel()
	first, second := two(t)
	p := newPool(t, at(first.Address, second.Address)...)
	err := p.build(t.Context(), t, "FROM BASE\nRUN echo begun; exit 7\n")
	var step *buildkit.StepError
	if !errors.As(err, &step) || step.ExitCode != 7 {
		t.Errorf("error: %v", err)
	}
	if n := p.count("begun"); n != 1 || len(p.warnings()) > 0 {
		t.Errorf("the step ran %d times; warnings %q", n, p.warnings())
	}
}

// The end of ctx is no reason to go elsewhere.
func TestCancelIsNotTriedElsewhere(t *testing.T) {
	t.Parallel()
	first, second := two(t)
	p := newPool(t, at(first.Address, second.Address)...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p.observer = onLog{"begun", cancel}
	err := p.build(ctx, t, slow)
	if !errors.Is(err, context.Canceled) || p.count("begun") != 1 || len(p.warnings()) > 0 {
		t.Errorf("error: %v; begun %d times; warnings %q", err, p.count("begun"), p.warnings())
	}
}
