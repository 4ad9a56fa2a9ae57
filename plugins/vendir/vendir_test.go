package vendir_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"sync"
	"testing"

	"strake.dev/strake/internal/registry"
	"strake.dev/strake/plugins/vendir"
	"strake.dev/strake/plugins/vendir/source"
	"strake.dev/strake/plugins/vendir/vendirtest"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// objects are the Secrets and ConfigMaps of a test; both kinds share names.
type objects map[string]map[string]string

func (o objects) get(name string) (map[string][]byte, error) {
	data, ok := o[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, stages.ErrNoObject)
	}
	out := map[string][]byte{}
	for k, v := range data {
		out[k] = []byte(v)
	}
	return out, nil
}

func (o objects) Secret(_ context.Context, name string) (map[string][]byte, error) {
	return o.get(name)
}

func (o objects) ConfigMap(_ context.Context, name string) (map[string][]byte, error) {
	return o.get(name)
}

// events keeps what was told.
type events struct {
	mu   sync.Mutex
	list []stages.Event
}

func (e *events) Observe(ev stages.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, ev)
}

func (e *events) text() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var b strings.Builder
	for _, ev := range e.list {
		fmt.Fprintf(&b, "%s %s", ev.Type, ev.Message)
		if ev.Task != nil {
			fmt.Fprintf(&b, "%+v", *ev.Task)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// A fixture is a step and the job it runs in.
type fixture struct {
	t      testing.TB
	step   stages.Step
	job    *stages.Job
	events *events
}

func bind(config string) (stages.Step, error) {
	client, err := registry.New(registry.Options{})
	if err != nil {
		return nil, err
	}
	return bindWith(client, config)
}

func bindWith(client *registry.Client, config string) (stages.Step, error) {
	nodes, err := schema.Parse("app.yaml", []byte(config))
	if err != nil {
		return nil, err
	}
	return vendir.Plugin(source.Deps{Registry: client, UserAgent: "strake/test"}).New(nodes[0])
}

// newFixture binds a configuration; it may count from dir.
func newFixture(t testing.TB, dir, config string, o objects) *fixture {
	t.Helper()
	step, err := bind(config)
	if err != nil {
		t.Fatal(err)
	}
	return fixtureOf(t, dir, step, o)
}

func fixtureOf(t testing.TB, dir string, step stages.Step, o objects) *fixture {
	t.Helper()
	out, err := stages.OpenTree(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	ev := &events{}
	job := &stages.Job{Step: "fetch", Dir: dir, Folder: "src", Out: out, Lock: &stages.Lock{}, Objects: o, Events: ev}
	return &fixture{t: t, step: step, job: job, events: ev}
}

// enforce makes the job use a lock entry and nothing else.
func (f *fixture) enforce(entry schema.LockedSource) *fixture {
	entry.Path = f.job.Folder
	f.job.Lock = &stages.Lock{Enforce: true, File: schema.Lock{Sources: []schema.LockedSource{entry}}}
	return f
}

func (f *fixture) run() (schema.LockedSource, error) {
	result, err := f.step.Run(f.t.Context(), f.job)
	if err != nil {
		return schema.LockedSource{}, err
	}
	if result.Sources[0].Path != f.job.Folder {
		f.t.Errorf("the path of the lock entry is %q", result.Sources[0].Path)
	}
	return result.Sources[0], nil
}

func (f *fixture) mustRun() schema.LockedSource {
	f.t.Helper()
	entry, err := f.run()
	if err != nil {
		f.t.Fatalf("%v (%s)", err, stages.Hint(err))
	}
	return entry
}

func (f *fixture) check() error {
	return f.step.(stages.Checker).Check(f.t.Context(), f.job)
}

func (f *fixture) key() string {
	f.t.Helper()
	key, err := f.step.(stages.Keyer).Key(f.t.Context(), f.job)
	if err != nil {
		f.t.Fatal(err)
	}
	return key
}

func (f *fixture) tree() map[string]string {
	f.t.Helper()
	return treeOf(f.t, f.job.Out.Dir())
}

// empty checks that a failed run has left nothing behind.
func (f *fixture) empty() {
	f.t.Helper()
	entries, err := os.ReadDir(f.job.Out.Dir())
	if err != nil || len(entries) > 0 {
		f.t.Errorf("left behind: %v, %v", entries, err)
	}
}

var (
	tgz         = vendirtest.Tgz
	zipOf       = vendirtest.Zip
	imageOf     = vendirtest.Image
	push        = vendirtest.Push
	newRegistry = vendirtest.Registry
	treeOf      = vendirtest.Tree
	write       = vendirtest.Write
)

func discard() *log.Logger { return log.New(io.Discard, "", 0) }
