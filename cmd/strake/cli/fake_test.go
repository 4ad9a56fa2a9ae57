package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"strake.dev/strake/cmd/strake/checked"
	"strake.dev/strake/plugins"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// fakes are plugins that do what their configuration says, without any server.
func fakes(plugins.Deps) []stages.Plugin {
	return []stages.Plugin{
		stages.Define(stages.Plugin{Stage: stages.Fetch, Name: "files", Doc: "Writes files.", Version: "1"},
			func(c fakeFiles) (stages.Step, error) { return &c, nil }),
		stages.Define(stages.Plugin{Stage: stages.Template, Name: "docs", Doc: "Yields documents.", Version: "1"},
			func(c fakeDocs) (stages.Step, error) { return &c, nil }),
		stages.Define(stages.Plugin{Stage: stages.Build, Name: "images", Doc: "Makes images.", Version: "2"},
			func(c fakeImages) (stages.Step, error) { return &c, nil }),
		stages.Define(stages.Plugin{Stage: stages.Deploy, Name: "put", Doc: "Applies.", Version: "3", Apps: fakeApps},
			func(c fakePut) (stages.Step, error) {
				if c.PanicBinding {
					panic("bound to panic")
				}
				return &c, nil
			}),
	}
}

type fakeFiles struct {
	Content string `json:"content"`
}

func (f *fakeFiles) Key(context.Context, *stages.Job) (string, error) { return f.Content, nil }

func (f *fakeFiles) Run(_ context.Context, job *stages.Job) (stages.Result, error) {
	return stages.Result{}, job.Out.Root().WriteFile("file", []byte(f.Content), 0o600)
}

type fakeDocs struct {
	Text string `json:"text"`
}

func (f *fakeDocs) Run(_ context.Context, job *stages.Job) (stages.Result, error) {
	text := f.Text
	for k, v := range job.Values {
		text += k + ": " + v + "\n"
	}
	return stages.Result{Manifests: stages.Manifests(text)}, nil
}

// digest is what images become.
const digest = "sha256:0000000000000000000000000000000000000000000000000000000000000001"

type fakeImages struct {
	Action string `json:"action"`
}

func (f *fakeImages) Run(_ context.Context, job *stages.Job) (stages.Result, error) {
	job.Events.Observe(stages.Event{Type: stages.TaskUpdate, Task: &stages.Task{ID: "1", Name: "RUN true", State: stages.TaskCached}})
	job.Events.Observe(stages.Event{Type: stages.ImageFinal, Image: &stages.Image{From: "app", To: "r.io/app@" + digest, Action: f.Action, Reason: "because"}})
	return stages.Result{Manifests: job.Manifests, Images: []schema.LockedImage{{
		Image: "r.io/app@" + digest, Annotations: map[string]string{schema.AnnotationImageID: "app"},
	}}}, nil
}

func (f *fakeImages) Plan(_ context.Context, job *stages.Job) (stages.Result, []stages.Change, error) {
	if f.Action != "built" {
		return stages.Result{Manifests: job.Manifests}, nil, nil
	}
	return stages.Result{Manifests: job.Manifests}, []stages.Change{{Op: "build", Kind: "image", Name: "app", Reason: "because"}}, nil
}

// fakePut makes the changes that it is told to make.
type fakePut struct {
	Changes      []fakeChange `json:"changes"`
	Fail         string       `json:"fail"`
	Hang         bool         `json:"hang"`
	Panic        bool         `json:"panic"`
	PanicBinding bool         `json:"panicBinding"`
	Missing      bool         `json:"missing"`
	// Drift is what a saved plan is refused for, Held who deploys at the moment.
	Drift []string `json:"drift"`
	Held  string   `json:"held"`
	// Limits has the limits told of.
	Limits bool `json:"limits"`
	// Secret is read before anything else.
	Secret string `json:"secret"`
	// Revisions are the outcomes of the deploys so far, the latest first.
	Revisions []string `json:"revisions"`
}

// appliedFirst is when revision 1 was deployed; each further one was a day later.
var appliedFirst = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func (f *fakePut) History(context.Context, *stages.Job) ([]stages.Revision, error) {
	if f.Missing {
		return nil, stages.ErrNotDeployed
	}
	var all []stages.Revision
	for i, outcome := range f.Revisions {
		n := len(f.Revisions) - i
		all = append(all, stages.Revision{
			Number: n, Applied: appliedFirst.AddDate(0, 0, n-1), Outcome: outcome, Objects: 3, By: "strake v1",
			Origin: stages.Origin{Source: "https://example.com/repo", Revision: strings.Repeat("0123456789", 4)},
			Kept:   n != 1, Message: "1 updated",
		})
	}
	return all, nil
}

func (f *fakePut) Recall(_ context.Context, _ *stages.Job, number int) (stages.Manifests, error) {
	return stages.Manifests(fmt.Sprintf("manifests of revision %d", number)), nil
}

func (f *fakePut) Save(_ context.Context, _ *stages.Job) (*stages.Saved, error) {
	saved := &stages.Saved{Changes: f.changes(), Target: "here"}
	for _, c := range f.Changes {
		if c.Op != "noop" {
			saved.Writes = append(saved.Writes, stages.Write{Op: c.Op, Object: stages.ObjectRef{APIVersion: "v1", Kind: "Thing", Name: c.Name}})
		}
	}
	return saved, nil
}

func (f *fakePut) Apply(_ context.Context, job *stages.Job, saved *stages.Saved) (stages.Result, error) {
	if len(f.Drift) > 0 {
		return stages.Result{}, &stages.RefusedError{Reasons: f.Drift}
	}
	if f.Fail != "" {
		return stages.Result{}, errors.New(f.Fail)
	}
	stages.Log(job.Events, fmt.Sprintf("applying %s from %s by %s", strings.TrimSpace(string(job.Manifests)), job.Origin.Source, job.Version))
	for _, w := range saved.Writes {
		job.Events.Observe(stages.Event{Type: stages.ChangeMade, Change: &stages.Change{Op: w.Op, Kind: w.Object.Kind, Namespace: "default", Name: w.Object.Name}})
	}
	return stages.Result{}, nil
}

func fakeApps(_ context.Context, namespace string) ([]stages.DeployedApp, error) {
	if namespace == "forbidden" {
		return nil, errors.New("you may not")
	}
	all := []stages.DeployedApp{
		{Name: "web", Namespace: "team", Plugin: "put", Objects: 3, Outcome: "succeeded", Origin: stages.Origin{Source: "here"}, By: "strake v1", Applied: time.Now().Add(-2 * time.Hour)},
		{Name: "api", Namespace: "default", Plugin: "put", Objects: -1},
	}
	if namespace != "" {
		all = slices.DeleteFunc(all, func(a stages.DeployedApp) bool { return a.Namespace != namespace })
	}
	return all, nil
}

type fakeChange struct {
	Op     string `json:"op"`
	Name   string `json:"name"`
	Reason string `json:"reason"`
	Diff   string `json:"diff"`
	// Image is what its image becomes.
	Image string `json:"image"`
}

// fileHolds tells whether the file that is said to hold the manifests does.
func fileHolds(job *stages.Job) bool {
	data, err := os.ReadFile(job.Rendered)
	return err == nil && bytes.Equal(data, job.Manifests)
}

func (f *fakePut) changes() []stages.Change {
	var all []stages.Change
	for _, c := range f.Changes {
		change := stages.Change{Op: c.Op, Kind: "Thing", Namespace: "default", Name: c.Name, Reason: c.Reason, Diff: c.Diff}
		if c.Image != "" {
			change.Images = []stages.ImageChange{{From: "r.io/app:1", To: c.Image}, {To: "r.io/sidecar:1"}}
		}
		all = append(all, change)
	}
	return all
}

func (f *fakePut) Run(ctx context.Context, job *stages.Job) (stages.Result, error) {
	if job.Origin.Revision != "" {
		stages.Log(job.Events, string(job.Manifests)) // it is rolled back
	}
	if f.Limits {
		l := job.Limits
		stages.Log(job.Events, fmt.Sprintf("limits: %s %d %t; manifests in a file: %t", l.ObjectTimeout, l.MaxPrune, l.AllowEmpty, fileHolds(job)))
	}
	if f.Secret != "" {
		if _, err := job.Objects.Secret(ctx, f.Secret); err != nil {
			return stages.Result{}, err
		}
	}
	for _, c := range f.changes() {
		job.Events.Observe(stages.Event{Type: stages.ChangeMade, Change: &c})
	}
	switch {
	case f.Held != "":
		return stages.Result{}, &stages.HeldError{App: "default/demo", Holder: f.Held, Since: appliedFirst}
	case f.Hang:
		stages.Log(job.Events, "hanging")
		<-ctx.Done()
		// Like a real step it takes a moment to stop, in which the command says that it is stopping.
		time.Sleep(300 * time.Millisecond)
		return stages.Result{}, ctx.Err()
	case f.Panic:
		panic("panics")
	case f.Fail != "":
		return stages.Result{}, stages.WithHint(errors.New(f.Fail), "don't")
	}
	return stages.Result{}, nil
}

func (f *fakePut) Plan(context.Context, *stages.Job) (stages.Result, []stages.Change, error) {
	return stages.Result{}, f.changes(), nil
}

func (f *fakePut) Delete(_ context.Context, job *stages.Job) error {
	for _, c := range f.changes() {
		c.Op = "delete"
		job.Events.Observe(stages.Event{Type: stages.ChangeMade, Change: &c})
	}
	return nil
}

func (f *fakePut) Inspect(context.Context, *stages.Job) ([]stages.Object, error) {
	if f.Missing {
		return nil, stages.ErrNotDeployed
	}
	return []stages.Object{
		{APIVersion: "v1", Kind: "Thing", Namespace: "default", Name: "a", UID: "1", Images: []string{"r.io/app:1"}, Drift: "label x", Owner: "kapp", State: "ok", Created: time.Now().Add(-90 * time.Second).Format(time.RFC3339)},
		{APIVersion: "v1", Kind: "Part", Namespace: "default", Name: "a-2", UID: "3", Parent: "1", Owner: "cluster", State: "ok"},
		{APIVersion: "v1", Kind: "Part", Namespace: "default", Name: "a-1", UID: "2", Parent: "1", Owner: "cluster", State: "ongoing"},
		{APIVersion: "v1", Kind: "Bit", Namespace: "default", Name: "a-1-1", UID: "4", Parent: "2", Owner: "cluster", State: "ok"},
		{APIVersion: "v1", Kind: "Role", Name: "b\x1b[31m", Parent: "elsewhere", Owner: "cluster", State: "fail", Reason: "no\nluck"},
	}, nil
}

// A called is how a call of the command line ended.
type called struct {
	code           int
	stdout, stderr string
}

var durations = regexp.MustCompile(`\b\d+\.\d+s\b`)

// call calls the command line with the fakes, in a folder that holds app.yaml.
func call(ctx context.Context, t *testing.T, env map[string]string, app string, args ...string) called {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	if app != "" {
		if err := os.WriteFile(filepath.Join(dir, "app.yaml"), []byte(app), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache"))
	return callHere(ctx, env, args...)
}

func callHere(ctx context.Context, env map[string]string, args ...string) called {
	var stdout, stderr bytes.Buffer
	tool := &tool{
		Program: Program{Version: "v1.2.3", Plugins: fakes},
		in:      strings.NewReader(""), out: &checked.Writer{To: &stdout}, err: &stderr,
		getenv: func(name string) string { return env[name] },
	}
	code := tool.execute(ctx, args)
	steady := func(b *bytes.Buffer) string {
		return strings.ReplaceAll(durations.ReplaceAllString(b.String(), "TIME"), digest, "sha256:1")
	}
	return called{code, steady(&stdout), steady(&stderr)}
}

// app is an App of fakes; its deploy step has the given configuration.
func app(action, put string) string {
	return `apiVersion: strake.dev/v1alpha1
kind: App
metadata: {name: demo}
spec:
  fetch:
  - files: {content: hello}
  template:
  - docs: {text: "a: 1\n"}
  build:
  - images: {action: ` + action + `}
  deploy:
  - put: ` + put + "\n"
}
