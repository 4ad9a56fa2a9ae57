package stagetest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// An able step is a deploy step with all optional abilities: it deploys by writing a file.
type able struct {
	state   string
	check   error
	changes []stages.Change
	// keep makes Delete do nothing, stubborn makes it fail when there is nothing.
	keep, stubborn bool
}

func (a *able) Run(ctx context.Context, _ *stages.Job) (stages.Result, error) {
	if err := ctx.Err(); err != nil {
		return stages.Result{}, err
	}
	return stages.Result{}, os.WriteFile(a.state, nil, 0o600)
}

func (a *able) Check(_ context.Context, job *stages.Job) error {
	if job.Sources != nil || job.Manifests != nil || job.Out != nil {
		return errors.New("a check sees no sources, manifests and area")
	}
	return a.check
}

func (a *able) Plan(context.Context, *stages.Job) (stages.Result, []stages.Change, error) {
	return stages.Result{}, a.changes, nil
}

func (a *able) Delete(context.Context, *stages.Job) error {
	if a.keep {
		return nil
	}
	if err := os.Remove(a.state); err != nil && (a.stubborn || !os.IsNotExist(err)) {
		return err
	}
	return nil
}

func (a *able) Inspect(context.Context, *stages.Job) ([]stages.Object, error) {
	if _, err := os.Stat(a.state); err != nil {
		return nil, stages.ErrNotDeployed
	}
	return []stages.Object{{Kind: "File", Name: a.state}}, nil
}

func deploy(step stages.Step) stages.Plugin {
	p := plugin(step)
	p.Stage = stages.Deploy
	return p
}

func TestRunChecksAbilities(t *testing.T) {
	create := []stages.Change{{Op: "create", Kind: "File", Name: "state"}}
	c := Case{
		Name: "deploy", Manifests: "a: 1\n",
		Objects: Objects{Secrets: map[string]map[string]string{"s": {"token": "sesame-open", "username": "robot-user"}}},
	}
	state := func(t *testing.T) string { return filepath.Join(t.TempDir(), "state") }

	Run(t, deploy(&able{state: state(t), changes: create}), c)

	tests := map[string]struct {
		step *able
		want string
	}{
		"check fails":        {&able{check: errors.New("no access")}, "Check: no access"},
		"odd change":         {&able{changes: []stages.Change{{Op: "melt", Kind: "File", Name: "x"}}}, "Plan: expected a change"},
		"secret in change":   {&able{changes: []stages.Change{{Op: "create", Kind: "File", Name: "x", Diff: "sesame-open"}}}, "Plan: changes: holds a value of a Secret"},
		"delete that fails":  {&able{stubborn: true}, "Delete: "},
		"delete that is lax": {&able{keep: true}, "Inspect after Delete: expected ErrNotDeployed"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.step.state = state(t)
			if got := failuresOf(t, deploy(test.step), c); !strings.Contains(got, test.want) {
				t.Errorf("expected a failure with %q, found:\n%s", test.want, got)
			}
		})
	}
}

func TestPublicKeysOfSecretsMayBeSeen(t *testing.T) {
	step := good()
	run := step.run
	step.run = func(ctx context.Context, job *stages.Job) (stages.Result, error) {
		stages.Log(job.Events, "as robot-user")
		return run(ctx, job)
	}
	c := goodCase()
	c.Objects = Objects{Secrets: map[string]map[string]string{"s": {"username": "robot-user"}}}
	Run(t, plugin(step), c)
}

func TestRunComparesImages(t *testing.T) {
	step := good()
	run := step.run
	step.run = func(ctx context.Context, job *stages.Job) (stages.Result, error) {
		r, err := run(ctx, job)
		r.Images = []schema.LockedImage{{Image: "example.com/a@sha256:0"}}
		return r, err
	}
	p := plugin(step)
	p.Stage = stages.Build
	Run(t, p, goodCase())
}
