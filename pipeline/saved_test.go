package pipeline_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/pipeline"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// A deployer tells what it gets as a deploy step that can do everything.
type deployer struct {
	cfg deployerConfig
	log *callLog
}

type deployerConfig struct {
	Name    string `json:"name"`
	Refuse  bool   `json:"refuse"`
	Nothing bool   `json:"nothing"`
}

func (d deployer) tell(what string, job *stages.Job) {
	d.log.add("%s %s %s: %q from %s at %s", what, job.Step, d.cfg.Name, job.Manifests, job.Origin.Source, job.Origin.Revision)
}

func (d deployer) Check(_ context.Context, job *stages.Job) error {
	d.log.add("check %s", job.Step)
	return nil
}

func (d deployer) Run(_ context.Context, job *stages.Job) (stages.Result, error) {
	d.tell("run", job)
	if job.Rendered != "" {
		if data, err := os.ReadFile(job.Rendered); err != nil || string(data) != string(job.Manifests) {
			return stages.Result{}, fmt.Errorf("file of the manifests: %q, %w", data, err)
		}
	}
	return stages.Result{}, os.WriteFile(job.Out.Dir()+"/mine", nil, 0o600)
}

func (d deployer) Plan(_ context.Context, job *stages.Job) (stages.Result, []stages.Change, error) {
	d.tell("plan", job)
	return stages.Result{}, nil, nil
}

func (d deployer) Save(_ context.Context, job *stages.Job) (*stages.Saved, error) {
	d.tell("save", job)
	saved := &stages.Saved{Changes: []stages.Change{{Op: "create", Kind: "thing", Name: "x", Diff: "+x"}}, Target: d.cfg.Name}
	if !d.cfg.Nothing {
		saved.Writes = []stages.Write{{Op: "create"}}
	}
	return saved, nil
}

func (d deployer) Apply(_ context.Context, job *stages.Job, saved *stages.Saved) (stages.Result, error) {
	d.tell("apply "+saved.Target, job)
	if d.cfg.Refuse {
		return stages.Result{}, &stages.RefusedError{Reasons: []string{"a is gone", "b has changed"}}
	}
	return stages.Result{}, nil
}

func (d deployer) History(context.Context, *stages.Job) ([]stages.Revision, error) {
	return []stages.Revision{
		{Number: 5, Outcome: "failed", Kept: true},
		{Number: 4, Outcome: "succeeded"},
		{Number: 3, Outcome: "succeeded", Kept: true, Origin: stages.Origin{Source: "old"}},
		{Number: 1, Outcome: "unfinished", Kept: true},
	}, nil
}

func (d deployer) Recall(_ context.Context, _ *stages.Job, number int) (stages.Manifests, error) {
	return stages.Manifests(fmt.Sprint("revision ", number)), nil
}

// A source says where it is from.
type source struct{ cfg sourceConfig }

type sourceConfig struct {
	From string `json:"from"`
	Path string `json:"path"`
}

func (s source) Folder() string { return s.cfg.Path }

func (s source) Key(context.Context, *stages.Job) (string, error) { return "key", nil }

func (s source) Run(_ context.Context, job *stages.Job) (stages.Result, error) {
	name, at, _ := strings.Cut(s.cfg.From, "@")
	return stages.Result{Origin: stages.Origin{Source: name, Revision: at}}, job.Out.Root().WriteFile("f", nil, 0o600)
}

// An imager has images to build, or none.
type imager struct{ pending bool }

func (i imager) Run(_ context.Context, job *stages.Job) (stages.Result, error) {
	return stages.Result{Manifests: append(job.Manifests, "built\n"...)}, nil
}

func (i imager) Plan(_ context.Context, job *stages.Job) (stages.Result, []stages.Change, error) {
	var changes []stages.Change
	if i.pending {
		changes = []stages.Change{{Op: "build", Name: "r.io/web"}, {Op: "push", Name: "r.io/web"}}
	}
	return stages.Result{Manifests: append(job.Manifests, "built\n"...)}, changes, nil
}

func deployers(log *callLog) *stages.Registry {
	print := func(c fakeConfig) (stages.Step, error) { return fakeStep{c, log}, nil }
	return stages.NewRegistry(
		stages.Define(stages.Plugin{Stage: stages.Fetch, Name: "get", Keys: []string{"from"}, Whole: true}, func(c sourceConfig) (stages.Step, error) { return source{c}, nil }),
		stages.Define(stages.Plugin{Stage: stages.Template, Name: "print"}, print),
		stages.Define(stages.Plugin{Stage: stages.Build, Name: "make"}, func(c struct {
			Pending bool `json:"pending"`
		},
		) (stages.Step, error) {
			return imager{c.Pending}, nil
		}),
		stages.Define(stages.Plugin{Stage: stages.Deploy, Name: "put"}, func(c deployerConfig) (stages.Step, error) { return deployer{c, log}, nil }),
		stages.Define(stages.Plugin{Stage: stages.Deploy, Name: "plain"}, print),
	)
}

const deployedApp = head + `spec:
  fetch: [{from: a@1, path: a}, {from: b, path: b}, {from: c@2, path: c}]
  template: [{print: {write: "one\n", uncached: true}}]
  build: [{make: {}}]
  deploy: [{put: {name: first}}, {put: {name: second, nothing: true}}]
`

func compile(t *testing.T, log *callLog, text string) *pipeline.Plan {
	t.Helper()
	file, err := schema.Load("app.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := pipeline.Compile(file, deployers(log))
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// Deploy steps learn where the manifests are from, also when the sources are those of an earlier run.
func TestOriginOfManifests(t *testing.T) {
	f := newFixture(t)
	plan := compile(t, f.log, strings.Replace(deployedApp, ", {put: {name: second, nothing: true}}", "", 1))
	for range 2 {
		report, err := plan.Run(t.Context(), f.opts)
		if err != nil || !report.Origin.Equal(stages.Origin{Source: "a,b,c", Revision: "1,2"}) {
			t.Errorf("origin %+v, %v", report.Origin, err)
		}
		calls := f.log.take()
		slices.Sort(calls[:2]) // checks run side by side
		wantCalls(t, calls, "check deploy-put", "check template-print", "run template-print", `run deploy-put first: "one\nbuilt\n" from a,b,c at 1,2`)
	}
}

func TestSaveAndApply(t *testing.T) {
	f := newFixture(t)
	report, err := compile(t, f.log, deployedApp).Save(t.Context(), f.opts)
	if err != nil {
		t.Fatal(err)
	}
	calls := f.log.take()
	wantCalls(t, calls[len(calls)-2:], `save deploy-put first: "one\nbuilt\n" from a,b,c at 1,2`, `save deploy-put-2 second: "one\nbuilt\n" from a,b,c at 1,2`)
	if c := report.Changes; len(c) != 2 || c[0].Diff != "+x" {
		t.Errorf("the plan lacks its diffs: %v", c)
	}
	want := []pipeline.SavedStep{
		{
			Name: "deploy-put", Plugin: "put", Config: json.RawMessage(`{"name":"first"}`), Manifests: stages.Manifests("one\nbuilt\n"),
			Saved: stages.Saved{Target: "first", Changes: []stages.Change{{Op: "create", Kind: "thing", Name: "x"}}, Writes: []stages.Write{{Op: "create"}}},
		},
		{
			Name: "deploy-put-2", Plugin: "put", Config: json.RawMessage(`{"name":"second","nothing":true}`), Manifests: stages.Manifests("one\nbuilt\n"),
			Saved: stages.Saved{Target: "second", Changes: []stages.Change{{Op: "create", Kind: "thing", Name: "x"}}},
		},
	}
	if diff := cmp.Diff(want, report.Saved); diff != "" {
		t.Errorf("saved (-want +got):\n%s", diff)
	}
	app := stages.App{Name: "web", Namespace: "team", Record: "web.app", Labels: map[string]string{"a": "b"}}
	plan, err := pipeline.Restore("plan.json", app, report.Saved, deployers(f.log))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(app, plan.App); diff != "" {
		t.Errorf("App (-want +got):\n%s", diff)
	}
	opts := pipeline.Options{Version: "test", Observer: f.events}
	if err := plan.Apply(t.Context(), opts, stages.Origin{Source: "repo", Revision: "9"}, report.Saved); err != nil {
		t.Fatal(err)
	}
	wantCalls(t, f.log.take(), "check deploy-put", `apply first deploy-put first: "one\nbuilt\n" from repo at 9`)
}

func TestApplyRefused(t *testing.T) {
	log := &callLog{}
	saved := []pipeline.SavedStep{{
		Name: "deploy-put", Plugin: "put", Config: json.RawMessage(`{"refuse": true}`), Timeout: time.Minute, Saved: stages.Saved{Writes: []stages.Write{{}}},
	}}
	plan, err := pipeline.Restore("plan.json", stages.App{Name: "web"}, saved, deployers(log))
	if err != nil {
		t.Fatal(err)
	}
	err = plan.Apply(t.Context(), pipeline.Options{Observer: &recorder{}}, stages.Origin{}, saved)
	var refused *stages.RefusedError
	if !errors.As(err, &refused) || err.Error() != "deploy-put (plan.json): a is gone\nb has changed" || !strings.Contains(stages.Hint(err), "new plan") {
		t.Errorf("error %v, hint %q", err, stages.Hint(err))
	}
}

func TestSavedPlanThatDoesNotCompile(t *testing.T) {
	for want, step := range map[string]pipeline.SavedStep{
		`plan.json: steps[0].uses: no plugin "pot" for the deploy stage`:       {Name: "d", Plugin: "pot"},
		`plan.json: steps[0].config.typo: unknown field`:                       {Name: "d", Plugin: "put", Config: json.RawMessage(`{"typo": 1}`)},
		`plan.json: steps[0].config: expected a mapping, found the string "x"`: {Name: "d", Plugin: "put", Config: json.RawMessage(`"x"`)},
		`plan.json: steps[0]: config: unexpected end of JSON input`:            {Name: "d", Plugin: "put", Config: json.RawMessage(`{`)},
	} {
		_, err := pipeline.Restore("plan.json", stages.App{Name: "web"}, []pipeline.SavedStep{step}, deployers(&callLog{}))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("expected %q, found %v", want, err)
		}
	}
}

func TestPlansThatCannotBeSaved(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"images":     {strings.Replace(deployedApp, "make: {}", "make: {pending: true}", 1), "what the plan needs has to be built and published before it can be saved: r.io/web"},
		"plugin":     {strings.Replace(deployedApp, "put: {name: first}", "plain: {}", 1), "the plain plugin can't save a plan"},
		"no deploy":  {head + "spec:\n  fetch: [{from: a}]\n", "there is no deploy step"},
		"kubeconfig": {strings.Replace(deployedApp, "spec:", "spec:\n  cluster: {kubeconfigSecretRef: {name: s, key: k}}", 1) + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\n", "a saved plan holds no credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			report, err := compile(t, f.log, c.text).Save(t.Context(), f.opts)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Count(err.Error(), "r.io/web") > 1 || len(report.Saved) > 0 {
				t.Errorf("expected %q, found %v", c.want, err)
			}
		})
	}
}

func TestRollback(t *testing.T) {
	for name, c := range map[string]struct {
		number int
		want   string
		err    string
	}{
		"latest that can be":  {0, `run deploy-put first: "revision 3" from old at `, ""},
		"of a number":         {1, `run deploy-put first: "revision 1" from  at `, ""},
		"not kept":            {4, "", "no such revision: the manifests of revision 4 weren't kept"},
		"not there":           {2, "", "no such revision: 2"},
		"the one that failed": {5, `run deploy-put first: "revision 5" from  at `, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			plan := compile(t, f.log, strings.Replace(deployedApp, ", {put: {name: second, nothing: true}}", "", 1))
			to, err := plan.Rollback(t.Context(), f.opts, "", c.number)
			calls := f.log.take()
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || !errors.Is(err, stages.ErrNoRevision) || len(calls) != 1 {
					t.Errorf("expected %q, found %v after %v", c.err, err, calls)
				}
				return
			}
			if err != nil || c.number > 0 && to.Number != c.number {
				t.Errorf("back at %d, %v", to.Number, err)
			}
			wantCalls(t, calls, "check deploy-put", c.want)
		})
	}
	f := newFixture(t)
	if _, err := compile(t, f.log, strings.Replace(deployedApp, "put: {name: first}}, {put: {name: second, nothing: true}", "plain: {}", 1)).Rollback(t.Context(), f.opts, "", 0); err == nil || !strings.Contains(err.Error(), "keeps no history") {
		t.Errorf("a plugin without history: %v", err)
	}
}
