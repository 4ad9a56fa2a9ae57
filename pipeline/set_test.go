package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/pipeline"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// A spoken step adds to the manifests what it is told to, and knows how often it was run.
type spoken struct {
	cfg spokenConfig
	log *callLog
}

type spokenConfig struct {
	Say string `json:"say,omitempty"`
	// Count is there to have something that isn't a text.
	Count int `json:"count,omitempty"`
	// Fails is how many times it fails before it succeeds, and How the way.
	Fails int    `json:"fails,omitempty"`
	How   string `json:"how,omitempty" enum:"error,refused"`
	Image string `json:"image,omitempty"`
	// Meet makes steps wait for each other.
	Meet bool `json:"meet,omitempty"`
}

func (s spoken) Run(_ context.Context, job *stages.Job) (stages.Result, error) {
	s.log.add("%s@%s", job.Step, job.App.Namespace)
	if s.cfg.Meet {
		s.log.meet.Done()
		s.log.meet.Wait()
	}
	s.log.mu.Lock()
	tries := 0
	for _, c := range s.log.calls {
		if strings.HasPrefix(c, job.Step+"@") {
			tries++
		}
	}
	s.log.mu.Unlock()
	if tries <= s.cfg.Fails {
		if s.cfg.How == "refused" {
			return stages.Result{}, &stages.RefusedError{Reasons: []string{"no"}}
		}
		return stages.Result{}, fmt.Errorf("try %d", tries)
	}
	var r stages.Result
	text := s.cfg.Say
	if s.cfg.Count > 0 {
		text += fmt.Sprint(" ", s.cfg.Count)
	}
	if text != "" {
		r.Manifests = stages.Manifests(string(job.Manifests) + text + "\n")
	}
	if v := job.Values["replicas"]; v != "" {
		r.Manifests = stages.Manifests(string(r.Manifests) + "replicas " + v + "\n")
	}
	if s.cfg.Image != "" {
		job.Events.Observe(stages.Event{Type: stages.ImageFinal, Image: &stages.Image{From: s.cfg.Image, Action: stages.ImageBuilt}})
		r.Images = []schema.LockedImage{{
			Image: job.Repositories + "r.io/" + s.cfg.Image + "@sha256:" + strings.Repeat("1", 64), Annotations: map[string]string{schema.AnnotationImageID: s.cfg.Image},
		}}
	}
	r.Outputs = map[string]any{"said": text}
	return r, nil
}

func speakers(log *callLog) *stages.Registry {
	var all []stages.Plugin
	for _, stage := range []stages.Stage{stages.Template, stages.Build, stages.Deploy} {
		all = append(all, stages.Define(stages.Plugin{
			Stage: stage, Name: "speak", Outputs: []stages.Output{{Name: "said", Example: "x"}},
		}, func(c spokenConfig) (stages.Step, error) { return spoken{c, log}, nil }))
	}
	return stages.NewRegistry(all...)
}

// A runner runs the files of a folder.
type runner struct {
	t      *testing.T
	dir    string
	log    *callLog
	loader pipeline.Loader
	events *recorder
}

func newRunner(t *testing.T, files map[string]string) *runner {
	r := &runner{t: t, dir: t.TempDir(), log: &callLog{}, events: &recorder{}}
	for name, text := range files {
		path := filepath.Join(r.dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	r.loader = pipeline.Loader{
		Plugins: func(schema.TargetKube) (*stages.Registry, error) { return speakers(r.log), nil },
		Read:    os.ReadFile,
	}
	return r
}

func (r *runner) load() (*pipeline.Set, error) { return r.loader.Load(filepath.Join(r.dir, "p.yaml")) }

// run runs the file, and returns the manifests of all runs by their names.
func (r *runner) run() (map[string]string, error) {
	set, err := r.load()
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	made := map[string]string{}
	err = set.Run(r.t.Context(), r.events, func(ctx context.Context, u *pipeline.Unit, to stages.Observer) error {
		report, err := u.Plan.Run(ctx, pipeline.Options{
			Version: "test", Dir: filepath.Dir(u.File), Workspace: filepath.Join(r.dir, "ws", u.Name), Observer: to,
			LockFile: pipeline.LockFileFor(u.File, u.Target), Values: u.Values,
		})
		mu.Lock()
		defer mu.Unlock()
		made[u.Name] = string(report.Manifests)
		return err
	})
	return made, err
}

const pipeHead = "apiVersion: strake.dev/v1alpha1\nkind: Pipeline\nmetadata: {name: release}\nspec:\n"

func TestPipelines(t *testing.T) {
	for name, test := range map[string]struct {
		spec   string
		set    map[string]string
		env    map[string]string
		want   map[string]string
		err    string
		events []string
	}{
		"parameters": {
			spec: `
  params: [{name: channel, default: edge, enum: [edge, stable]}, {name: n, type: int, default: 2}, {name: fast, type: bool}]
  env: [HOME_PAGE, {name: NONE, default: nothing}]
  stages:
  - {name: a, stage: template, uses: speak, with: {say: "${{ params.channel }} ${{ env.HOME_PAGE }} ${{ env.NONE }} ${{ params.fast }} ${{ app.name }}", count: "${{ params.n + 1 }}"}}
`,
			set: map[string]string{"channel": "stable"}, env: map[string]string{"STRAKE_PARAM_FAST": "true", "HOME_PAGE": "x.org", "STRAKE_PARAM_CHANNEL": "edge"},
			want: map[string]string{"": "stable x.org nothing true release 3\n"},
		},
		"conditions and outputs": {
			spec: `
  params: [{name: deploy, type: bool, default: false}]
  stages:
  - {name: first, stage: template, uses: speak, with: {say: one}}
  - {name: my-images, stage: build, uses: speak, with: {say: two, image: simple-app}}
  - {name: left-out, stage: template, uses: speak, when: "params.deploy", with: {say: never}}
  - name: last
    stage: template
    uses: speak
    when: "steps['left-out'].outcome == 'skipped' && 'simple-app' in steps['my-images'].outputs.built && !has(steps['left-out'].outputs.digest)"
    with: {say: "${{ steps['my-images'].outputs.digests['simple-app'] }} ${{ steps.first.outputs.said }}"}
`,
			want:   map[string]string{"": "one\ntwo\nsha256:" + strings.Repeat("1", 64) + " one\n"},
			events: []string{"step-skipped left-out when: params.deploy is false"},
		},
		"an output that isn't there": {
			spec: `
  stages:
  - {name: a, stage: build, uses: speak, with: {image: app}}
  - {name: b, stage: template, uses: speak, with: {say: "${{ steps.a.outputs.digests.other }}"}}
`,
			err: `there is no "other"`,
		},
		"retries": {
			spec: `
  stages: [{name: a, stage: template, uses: speak, retries: 1, with: {say: done, fails: 1}}]
`,
			want: map[string]string{"": "done\n"}, events: []string{"warning a try 1 of 2 failed: try 1; trying again in 1s"},
		},
		"what is refused isn't tried again": {
			spec: "\n  stages: [{name: a, stage: template, uses: speak, retries: 3, with: {fails: 1, how: refused}}]\n",
			err:  "a (p.yaml:5:12): no",
		},
		"continue on error": {
			spec: `
  stages:
  - {name: a, stage: template, uses: speak, continueOnError: true, with: {fails: 9}}
  - {name: b, stage: template, uses: speak, when: "steps.a.outcome == 'failed'", with: {say: after}}
`,
			want: map[string]string{"": "after\n"}, events: []string{"step-finished a  try 1", "warning a the step has failed, and the run goes on without it (continueOnError)"},
		},
		"targets": {
			spec: `
  params: [{name: channel, default: edge}]
  targets:
  - {name: staging, kube: {namespace: "ns-${{ target }}"}, values: {replicas: 1}}
  - {name: prod, values: {replicas: 5}, registry: "${{ params.channel }}.io", when: "params.channel == 'stable'"}
  - {name: other, when: "params.channel != 'stable'"}
  stages: [{name: a, stage: template, uses: speak, with: {say: "${{ target }} ${{ app.namespace }} ${{ registry }} ${{ has(values.replicas) ? values.replicas : 0 }}"}}]
`,
			set:  map[string]string{"channel": "stable"},
			want: map[string]string{"staging": "staging ns-staging  1\nreplicas 1\n", "prod": "prod default stable.io 5\nreplicas 5\n"},
		},
		"values beside what steps yield": {
			spec: `
  targets: [{name: a, values: {most: 1, name: x}}, {name: b, values: {most: 9, name: x}}]
  stages:
  - {name: a, stage: template, uses: speak, with: {say: one}}
  - {name: b, stage: template, uses: speak, when: size(steps.a.outputs.said) > values.most, with: {say: "${{ steps.a.outputs.said + values.name }}"}}
`,
			want: map[string]string{"a": "one\nonex\n", "b": "one\n"},
		},
		"values of a run win over a target's": {
			spec: `
  targets: [{name: a, values: {replicas: {min: 1}}}]
  stages: [{name: a, stage: template, uses: speak, with: {say: "${{ string(values.replicas) }}"}}]
`,
			set: map[string]string{"replicas": "7"}, want: map[string]string{"a": "7\nreplicas 7\n"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRunner(t, map[string]string{"p.yaml": pipeHead + strings.TrimPrefix(test.spec, "\n")})
			r.loader.Set = test.set
			r.loader.Env = func(name string) (string, bool) { v, ok := test.env[name]; return v, ok }
			got, err := r.run()
			if test.err != "" {
				if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), r.dir+"/", ""), test.err) {
					t.Errorf("got error %v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("manifests (-want +got):\n%s", diff)
			}
			for _, e := range test.events {
				if !strings.Contains(r.events.text(), e) {
					t.Errorf("no event %q in\n%s", e, r.events.text())
				}
			}
			// What was made is taken over by a second run, with its outputs.
			if again, err := r.run(); err != nil || cmp.Diff(got, again) != "" {
				t.Errorf("second run: %v %v", again, err)
			}
		})
	}
}

// All mistakes are found before anything runs, also those of targets that wouldn't be run.
func TestPipelineMistakes(t *testing.T) {
	r := newRunner(t, map[string]string{
		"p.yaml": pipeHead + `  params: [{name: channel, enum: [edge, stable]}]
  env: [TOKEN]
  targets:
  - {name: a, values: {x: "${{ params.chanel }}"}}
  - {name: b, needs: [a], when: "params.channel"}
  stages:
  - {name: one, stage: template, uses: speak, when: "steps.two.outcome == ''"}
  - {name: two, stage: template, uses: speak, with: {say: "${{ steps.one.outputs.sad }}"}}
  - {name: three, stage: template, uses: speak, with: {count: "${{ steps.one.outputs.said }}", sai: x}}
  - {name: four, stage: template, uses: speek}
`,
	})
	r.loader.Check = true
	_, err := r.load()
	var got []string
	for line := range strings.Lines(err.Error()) {
		got = append(got, strings.TrimSpace(strings.ReplaceAll(line, r.dir+"/", "")))
	}
	want := []string{
		`p.yaml:8:27: spec.targets[0].values.x: expression "params.chanel", column 7: there is no "chanel" (did you mean channel?)`,
		`p.yaml:9:33: spec.targets[1].when: expression "params.channel": expected true or false, found a value of type string`,
		`p.yaml:11:53: spec.stages[0].when: expression "steps.two.outcome == ''", column 6: there is no "two"`,
		`p.yaml:12:59: spec.stages[1].with.say: expression "steps.one.outputs.sad", column 18: there is no "sad" (did you mean said?)`,
		`p.yaml:13:63: spec.stages[2].with.count: expected a whole number, found the string "x"`,
		`p.yaml:13:96: spec.stages[2].with.sai: unknown field (did you mean say?)`,
		`p.yaml:14:41: spec.stages[3].uses: no plugin "speek" for the template stage (did you mean speak?)`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("of targets and steps (-want +got):\n%s", diff)
	}
	text, err := os.ReadFile(filepath.Join(r.dir, "p.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	right := strings.NewReplacer("chanel", "channel", `"params.channel"}`, `"params.channel == 'edge'"}`).Replace(string(text))
	if err := os.WriteFile(filepath.Join(r.dir, "p.yaml"), []byte(right), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = r.load()
	got = nil
	for line := range strings.Lines(err.Error()) {
		got = append(got, strings.TrimSpace(strings.ReplaceAll(line, r.dir+"/", "")))
	}
	if diff := cmp.Diff(want[2:], got); diff != "" {
		t.Errorf("of steps (-want +got):\n%s", diff)
	}
	r.loader.Check = false
	r.loader.Set = map[string]string{"channel": "nightly"}
	if _, err := r.load(); err == nil || !strings.Contains(err.Error(), `parameter channel, given by --set: expected one of edge, stable, found "nightly"`) || !strings.Contains(err.Error(), "environment variable TOKEN isn't set") {
		t.Errorf("wrong parameter: %v", err)
	}
	r.loader.Set, r.loader.Targets = nil, []string{"c"}
	if _, err := r.load(); err == nil || !strings.Contains(err.Error(), "parameter channel has no default, and isn't given (give it with --set channel=VALUE, --values FILE or STRAKE_PARAM_CHANNEL)") {
		t.Errorf("no parameter: %v", err)
	}
}

// What is wrong with single fields and with several is told at once.
func TestMistakesOfAllKinds(t *testing.T) {
	r := newRunner(t, map[string]string{
		"p.yaml": pipeHead + `  maxParallel: 0
  params: [{name: 1x}, {name: a, default: "${{ env.X }}"}, {name: a}]
  targets: [{name: prod, needs: [staging], kub: {}}, {name: prod}]
  stages:
  - {name: one, stage: templat, uses: speak}
  - {name: one, stage: template, uses: speak, retries: x}
  - {stage: template, uses: speak}
  - {stage: template, uses: speak}
  - {name: fine, stage: template, uses: speak}
  - {name: unknown, stage: template, uses: speak, when: params.a == 'x' || steps.fine.outcome == target, with: {say: "${{ params.a }}", count: "${{ params.a }}", sai: "${{ params.a + steps.fine.outcome }}"}}
  - {name: wrong, stage: template, uses: speak, when: params.a > steps.fin.outcome, with: {count: x}}
`,
	})
	r.loader.Check = true
	_, err := r.load()
	var got []string
	for line := range strings.Lines(err.Error()) {
		got = append(got, strings.TrimSpace(strings.ReplaceAll(line, r.dir+"/", "")))
	}
	want := []string{
		`p.yaml:5:16: spec.maxParallel: expected at least 1, found 0`,
		`p.yaml:6:19: spec.params[0].name: "1x" is not a valid name of a parameter (letters, digits and “_”, not beginning with a digit)`,
		`p.yaml:6:43: spec.params[1].default: has an expression, which isn't replaced here (${{ … }} stands in “with” of stages, and in targets)`,
		`p.yaml:6:67: spec.params[2].name: "a" names an earlier parameter already`,
		`p.yaml:7:34: spec.targets[0].needs[0]: no target "staging" comes before this one`,
		`p.yaml:7:44: spec.targets[0].kub: unknown field (did you mean kube?)`,
		`p.yaml:7:61: spec.targets[1].name: "prod" names an earlier target already`,
		`p.yaml:9:24: spec.stages[0].stage: expected one of fetch, verify, template, build, publish, deploy, found "templat" (did you mean template?)`,
		`p.yaml:10:12: spec.stages[1].name: "one" names an earlier step already`,
		`p.yaml:10:56: spec.stages[1].retries: expected a whole number, found the string "x"`,
		`p.yaml:11:5: spec.stages[2].name: missing, but required`,
		`p.yaml:12:5: spec.stages[3].name: missing, but required`,
		`p.yaml:14:163: spec.stages[5].with.sai: unknown field (did you mean say?)`,
		`p.yaml:15:55: spec.stages[6].when: expression "params.a > steps.fin.outcome", column 17: there is no "fin" (did you mean fine?)`,
		`p.yaml:15:99: spec.stages[6].with.count: expected a whole number, found the string "x"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A number goes where a text is expected, if it is an expression's.
func TestNumbersAsTexts(t *testing.T) {
	r := newRunner(t, map[string]string{
		"p.yaml": pipeHead + `  params: [{name: n, type: int, default: 3}, {name: on, type: bool, default: true}]
  targets: [{name: prod, values: {n: "${{ params.n }}"}, kube: {namespace: "${{ params.n }}"}}]
  stages:
  - {name: one, stage: template, uses: speak, with: {say: "${{ params.n }}", count: "${{ params.n }}"}}
  - {name: two, stage: template, uses: speak, with: {say: "${{ params.on }}"}}
`,
	})
	if _, err := r.load(); err != nil {
		t.Error(err)
	}
	r = newRunner(t, map[string]string{"p.yaml": pipeHead + "  stages:\n  - {name: one, stage: template, uses: speak, with: {say: 3}}\n"})
	if _, err := r.load(); err == nil || !strings.Contains(err.Error(), "with.say: expected a string, found the number 3") {
		t.Errorf("a number that stands there: %v", err)
	}
}

const appOf = `apiVersion: strake.dev/v1alpha1
kind: App
metadata: {name: %s}
spec:
  template: [{speak: {say: %s, meet: %t, fails: %d}}]
`

func TestApps(t *testing.T) {
	files := map[string]string{
		"p.yaml":           pipeHead + "  apps: [{path: db.yaml}, apps/*.yaml]\n",
		"db.yaml":          fmt.Sprintf(appOf, "db", "d", false, 0),
		"apps/a.yaml":      fmt.Sprintf(appOf, "a", "a", false, 0),
		"apps/b.yaml":      fmt.Sprintf(appOf, "b", "b", false, 0),
		"apps/a.lock.yaml": "apiVersion: vendir.k14s.io/v1alpha1\nkind: LockConfig\ndirectories: []\n",
	}
	t.Run("in order", func(t *testing.T) {
		r := newRunner(t, files)
		got, err := r.run()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]string{"db": "d\n", "a": "a\n", "b": "b\n"}, got); diff != "" {
			t.Errorf("manifests (-want +got):\n%s", diff)
		}
		if calls := strings.Join(r.log.take(), " "); calls != "template-speak@default template-speak@default template-speak@default" {
			t.Errorf("calls: %s", calls)
		}
		text := r.events.text()
		if strings.Count(text, "run-started") != 1 || strings.Count(text, "run-finished") != 1 || !strings.Contains(text, "step-finished a/template-speak") {
			t.Errorf("events:\n%s", text)
		}
		if _, err := os.Stat(filepath.Join(r.dir, "apps/b.lock.yaml")); errors.Is(err, fs.ErrNotExist) {
			t.Error("App b has no lock file")
		}
	})
	t.Run("at the same time", func(t *testing.T) {
		parallel := map[string]string{
			"p.yaml": pipeHead + "  maxParallel: 2\n  apps: [a.yaml, b.yaml]\n",
			"a.yaml": fmt.Sprintf(appOf, "a", "a", true, 0), "b.yaml": fmt.Sprintf(appOf, "b", "b", true, 0),
		}
		r := newRunner(t, parallel)
		r.log.meet.Add(2)
		if _, err := r.run(); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a failure", func(t *testing.T) {
		failing := maps.Clone(files)
		failing["apps/a.yaml"] = fmt.Sprintf(appOf, "a", "a", false, 9)
		r := newRunner(t, failing)
		got, err := r.run()
		if err == nil || !strings.HasPrefix(err.Error(), "a: template-speak (") {
			t.Errorf("got error %v", err)
		}
		if _, ran := got["b"]; ran || got["db"] != "d\n" {
			t.Errorf("made: %v", got)
		}
	})
	t.Run("one of them", func(t *testing.T) {
		r := newRunner(t, files)
		r.loader.Apps = []string{"b"}
		if got, err := r.run(); err != nil || len(got) != 1 || got["b"] != "b\n" {
			t.Errorf("got %v, %v", got, err)
		}
		r.loader.Apps = []string{"c"}
		_, err := r.load()
		unknown, ok := errors.AsType[*pipeline.UnknownUnitError](err)
		if !ok || cmp.Diff(unknown.Known, []string{"db", "a", "b"}) != "" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("mistakes", func(t *testing.T) {
		r := newRunner(t, map[string]string{
			"p.yaml": pipeHead + "  apps: [a.yaml, b.yaml, none/*.yaml, {path: p2.yaml, needs: [z]}, '[']\n",
			"a.yaml": fmt.Sprintf(appOf, "a", "a", false, 0), "b.yaml": strings.Replace(fmt.Sprintf(appOf, "a", "b", false, 0), "meet", "met", 1),
			"p2.yaml": pipeHead + "  stages: []\n",
		})
		_, err := r.load()
		for _, want := range []string{
			`p.yaml:5:26: spec.apps[2]: no file is at none/*.yaml`,
			`p2.yaml:2:7: kind: expected an App, found a Pipeline`,
			`no App "z" comes before this one`,
			`spec.apps[4]: "[" is not a valid pattern`,
			`b.yaml:3:18: metadata.name: "a" is the name of an earlier App of the Pipeline already`,
		} {
			if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), r.dir+"/", ""), want) {
				t.Errorf("got %v\nwant %s", err, want)
			}
		}
	})
}

// The order of a set keeps to what its units need, whatever may run at the same time.
func TestNeeds(t *testing.T) {
	r := newRunner(t, map[string]string{
		"p.yaml": pipeHead + `  maxParallel: 4
  targets: [{name: one}, {name: two, needs: [one]}]
  apps: [a.yaml, {path: b.yaml, needs: [a]}]
`,
		"a.yaml": fmt.Sprintf(appOf, "a", "a", false, 0), "b.yaml": fmt.Sprintf(appOf, "b", "b", false, 0),
	})
	set, err := r.load()
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	ended := map[string]bool{}
	err = set.Run(t.Context(), r.events, func(_ context.Context, u *pipeline.Unit, _ stages.Observer) error {
		mu.Lock()
		for _, need := range map[string][]string{"one/b": {"one/a"}, "two/a": {"one/a", "one/b"}, "two/b": {"two/a", "one/b"}}[u.Name] {
			if !ended[need] {
				t.Errorf("%s runs before %s has ended", u.Name, need)
			}
		}
		mu.Unlock()
		time.Sleep(10 * time.Millisecond)
		mu.Lock()
		ended[u.Name] = true
		mu.Unlock()
		return nil
	})
	if err != nil || len(ended) != 4 {
		t.Errorf("%v, %v", ended, err)
	}
}
