package stagetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// A fake is a step whose abilities are functions, so that each test breaks one contract.
type fake struct {
	run func(ctx context.Context, job *stages.Job) (stages.Result, error)
	key func(ctx context.Context, job *stages.Job) (string, error)
}

func (f *fake) Run(ctx context.Context, job *stages.Job) (stages.Result, error) {
	return f.run(ctx, job)
}

func (f *fake) Key(ctx context.Context, job *stages.Job) (string, error) { return f.key(ctx, job) }

// good is a template step that keeps all contracts: it yields the file a, and a Secret's value.
func good() *fake {
	return &fake{
		run: func(ctx context.Context, job *stages.Job) (stages.Result, error) {
			if err := ctx.Err(); err != nil {
				return stages.Result{}, fmt.Errorf("reading a: %w", err)
			}
			data, err := job.Sources.Root().ReadFile("a")
			if err != nil {
				return stages.Result{}, err
			}
			stages.Log(job.Events, "read a")
			return stages.Result{Manifests: data}, job.Out.Root().WriteFile("copy", data, 0o644)
		},
		key: func(ctx context.Context, job *stages.Job) (string, error) { return job.Sources.Digest(ctx, "a") },
	}
}

type config struct {
	Name string `json:"name,omitempty"`
}

func plugin(step stages.Step) stages.Plugin {
	return stages.Define(stages.Plugin{
		Stage: stages.Template, Name: "fake", Doc: "Is for tests.", Version: "1",
	}, func(config) (stages.Step, error) { return step, nil })
}

func goodCase() Case {
	return Case{
		Name:          "copy",
		Config:        "name: x",
		Files:         map[string]string{"a": "k: v\n", "b": "k: v\n"},
		Objects:       Objects{Secrets: map[string]map[string]string{"s": {"values.yml": "token: sesame-open\n"}}},
		WantManifests: "k: v\n",
		WantFiles:     map[string]string{"copy": "k: v\n"},
		Variants: []Variant{
			{Name: "a", Change: func(c *Case) { c.Files["a"] = "k: w\n" }},
			{Name: "b", Same: true, Change: func(c *Case) { c.Files["b"] = "k: w\n" }},
		},
	}
}

func TestRunAcceptsAStepThatKeepsTheContracts(t *testing.T) {
	for _, cfg := range []string{"", "name: x", "{name: x}", "# nothing\n{}"} {
		c := goodCase()
		c.Name, c.Config = "config "+cfg, cfg
		Run(t, plugin(good()), c)
	}
}

// A reporter takes the failures that a check reports. What it shares with the real T are folders,
// environment and cleanup.
type reporter struct {
	testing.TB
	failures []string
}

func (r *reporter) Helper() {}

func (r *reporter) Error(args ...any) { r.failures = append(r.failures, fmt.Sprint(args...)) }

func (r *reporter) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

type stop struct{}

func (r *reporter) Fatal(args ...any) { r.Error(args...); panic(stop{}) }

func (r *reporter) Fatalf(format string, args ...any) { r.Errorf(format, args...); panic(stop{}) }

// failuresOf returns what the checks say about a plugin that breaks a contract.
func failuresOf(t *testing.T, p stages.Plugin, c Case) string {
	t.Helper()
	r := &reporter{TB: t}
	func() {
		defer func() {
			if v := recover(); v != nil && v != (stop{}) {
				panic(v)
			}
		}()
		checkPlugin(r, p)
		checkCase(r, p, c.clone())
	}()
	return strings.Join(r.failures, "\n")
}

func TestRunFindsBrokenContracts(t *testing.T) {
	var count atomic.Int32
	var late sync.Once
	const secret = "sesame-open"
	before := func(extra func(job *stages.Job)) func(*fake) {
		return func(f *fake) {
			run := f.run
			f.run = func(ctx context.Context, job *stages.Job) (stages.Result, error) {
				if ctx.Err() == nil {
					extra(job)
				}
				return run(ctx, job)
			}
		}
	}
	event := func(e stages.Event) func(*fake) { return before(func(job *stages.Job) { job.Events.Observe(e) }) }
	result := func(change func(r *stages.Result, err *error)) func(*fake) {
		return func(f *fake) {
			run := f.run
			f.run = func(ctx context.Context, job *stages.Job) (stages.Result, error) {
				r, err := run(ctx, job)
				change(&r, &err)
				return r, err
			}
		}
	}
	tests := []struct {
		name    string
		breakIt func(f *fake)
		want    string
	}{
		{"writes to sources", before(func(job *stages.Job) { must(job.Sources.Root().WriteFile("c", nil, 0o644)) }), "wrote to the App's folder"},
		{"writes beside the file", before(func(job *stages.Job) { must(os.WriteFile(filepath.Join(job.Dir, "c"), nil, 0o644)) }), "beside the App's file"},
		{"leaves temporary files", before(func(*stages.Job) { must(os.MkdirAll(filepath.Join(os.TempDir(), "x"), 0o700)) }), "left in the system's temporary folder"},
		{"no manifests", result(func(r *stages.Result, _ *error) { r.Manifests = nil }), "no manifests"},
		{"source of a template", result(func(r *stages.Result, _ *error) { r.Sources = []schema.LockedSource{{}} }), "a source for the lock"},
		{"other manifests", result(func(r *stages.Result, _ *error) { r.Manifests = stages.Manifests("x: y\n") }), "manifests differ"},
		{"unequal results", result(func(r *stages.Result, _ *error) {
			r.Skipped = fmt.Sprint(count.Add(1))
		}), "second Run of the same step: result differs"},
		{"unequal files", before(func(job *stages.Job) {
			must(job.Out.Root().WriteFile("n", []byte(fmt.Sprint(count.Add(1))), 0o644))
		}), "left other files in job.Out"},
		{"cancel not wrapped", result(func(_ *stages.Result, err *error) {
			if *err != nil {
				*err = errors.New((*err).Error())
			}
		}), "wraps context.Canceled"},
		{"cancel ignored", func(f *fake) {
			run := f.run
			f.run = func(ctx context.Context, job *stages.Job) (stages.Result, error) {
				return run(context.WithoutCancel(ctx), job)
			}
		}, "wraps context.Canceled"},
		{"error", result(func(_ *stages.Result, err *error) { *err = errors.New("broken") }), "Run: broken"},
		{"secret in error", result(func(_ *stages.Result, err *error) {
			if *err != nil {
				*err = fmt.Errorf("%w with %s", *err, secret)
			}
		}), "error: holds a value of a Secret"},
		{"secret in event", event(stages.Event{Type: stages.LogLine, Message: "it is " + secret}), "event: holds a value of a Secret"},
		{"secret in task", event(stages.Event{
			Type: stages.TaskUpdate, Task: &stages.Task{ID: "1", Name: "x", State: stages.TaskDone, Detail: secret},
		}), "event: holds a value of a Secret"},
		{"secret in skip", result(func(r *stages.Result, _ *error) { r.Skipped = secret }), "reason of a skip: holds"},
		{"event of the engine", event(stages.Event{Type: stages.StepStarted}), `event of type "step-started"`},
		{"event with step", event(stages.Event{Type: stages.LogLine, Message: "x", Step: "x"}), "which the engine does"},
		{"event without message", event(stages.Event{Type: stages.Warning}), "expected a message"},
		{"event without task", event(stages.Event{Type: stages.TaskUpdate}), "expected a task"},
		{"event without change", event(stages.Event{Type: stages.ChangeMade}), "without a change"},
		{"event with bad change", event(stages.Event{Type: stages.ChangeMade, Change: &stages.Change{Op: "melt"}}), "expected a change"},
		{"event without image", event(stages.Event{Type: stages.ImageFinal}), "expected an image"},
		{"task left open", event(stages.Event{
			Type: stages.TaskUpdate, Task: &stages.Task{ID: "1", Name: "x", State: stages.TaskRunning},
		}), `task "1" is still running`},
		{"late event", func(f *fake) {
			run := f.run
			var first *stages.Job
			f.run = func(ctx context.Context, job *stages.Job) (stages.Result, error) {
				if first == nil {
					first = job
				} else if first != job && ctx.Err() == nil {
					late.Do(func() { stages.Log(first.Events, "late") })
				}
				return run(ctx, job)
			}
		}, "sent 1 events after it had returned"},
		{"key of the machine", func(f *fake) {
			f.key = func(_ context.Context, job *stages.Job) (string, error) { return job.Sources.Dir(), nil }
		}, "names the folder"},
		{"key that changes", func(f *fake) {
			f.key = func(context.Context, *stages.Job) (string, error) { return fmt.Sprint(count.Add(1)), nil }
		}, "for another with equal input"},
		{"key that misses an input", func(f *fake) {
			f.key = func(context.Context, *stages.Job) (string, error) { return "constant", nil }
		}, `variant "a": the key didn't change`},
		{"key of too much", func(f *fake) {
			f.key = func(ctx context.Context, job *stages.Job) (string, error) { return job.Sources.Digest(ctx) }
		}, `variant "b": the key changed`},
		{"no key", func(f *fake) {
			f.key = func(context.Context, *stages.Job) (string, error) { return "", nil }
		}, "Key: empty"},
		{"secret key", func(f *fake) {
			f.key = func(context.Context, *stages.Job) (string, error) { return secret, nil }
		}, "Key: holds a value of a Secret"},
		{"failing key", func(f *fake) {
			f.key = func(context.Context, *stages.Job) (string, error) { return "", errors.New("broken") }
		}, "Key: broken"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			step := good()
			test.breakIt(step)
			if got := failuresOf(t, plugin(step), goodCase()); !strings.Contains(got, test.want) {
				t.Errorf("expected a failure with %q, found:\n%s", test.want, got)
			}
		})
	}
}

func TestRunFindsLaxBinding(t *testing.T) {
	p := plugin(good())
	strict := p.New
	tests := []struct {
		name string
		new  func(n *schema.Node) (stages.Step, error)
		want string
	}{
		{"unknown field", func(*schema.Node) (stages.Step, error) { return good(), nil }, "accepted the unknown field"},
		{"no place", func(n *schema.Node) (stages.Step, error) {
			if _, err := strict(n); err != nil {
				return nil, errors.New(unknownField)
			}
			return good(), nil
		}, "expected a diagnostic for"},
		{"nil step", func(n *schema.Node) (stages.Step, error) {
			if n == nil {
				return nil, nil
			}
			return strict(n)
		}, "neither a step nor an error"},
		{"plain error without configuration", func(n *schema.Node) (stages.Step, error) {
			if n == nil {
				return nil, errors.New("missing")
			}
			return strict(n)
		}, "expected schema.Diagnostics"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := p
			p.New = test.new
			if got := failuresOf(t, p, goodCase()); !strings.Contains(got, test.want) {
				t.Errorf("expected a failure with %q, found:\n%s", test.want, got)
			}
		})
	}
}

func TestRunBad(t *testing.T) {
	RunBad(t, plugin(good()), BadConfig{Name: "near miss", Config: "nam: x", Want: "test.yaml:1:1: nam: unknown field (did you mean name?)"})
	r := &reporter{TB: t}
	checkBad(r, plugin(good()), BadConfig{Config: "nam: x", Want: "another message"})
	if len(r.failures) != 1 {
		t.Errorf("expected one failure, found %q", r.failures)
	}
}

func TestWantError(t *testing.T) {
	step := good()
	run := step.run
	step.run = func(ctx context.Context, job *stages.Job) (stages.Result, error) {
		if r, err := run(ctx, job); err != nil {
			return r, err
		}
		return stages.Result{}, stages.WithHint(errors.New("a is odd"), "make it even")
	}
	c := goodCase()
	c.WantError, c.WantHint = "a is odd", "even"
	Run(t, plugin(step), c)
	c.WantHint = "prime"
	if got := failuresOf(t, plugin(step), c); !strings.Contains(got, "expected a hint") {
		t.Errorf("expected a failure about the hint, found:\n%s", got)
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
