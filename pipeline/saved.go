package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// A SavedStep is the plan of a deploy step with all that it takes to carry it out elsewhere.
type SavedStep struct {
	Name, Plugin string
	// Config is the step's configuration; nil is none.
	Config    json.RawMessage
	Timeout   time.Duration
	Manifests stages.Manifests
	Saved     stages.Saved
}

// A NotBuiltError says that a plan can't be saved because images, or an artifact, have to be made first.
type NotBuiltError struct{ Images []string }

func (e *NotBuiltError) Error() string {
	return "what the plan needs has to be built and published before it can be saved: " + strings.Join(e.Images, ", ")
}

// Save is Preview with plans in the report that [Plan.Apply] can carry out. Nothing must be left to be
// built, because what would be deployed isn't known before.
func (p *Plan) Save(ctx context.Context, opts Options) (*Report, error) {
	if !p.deploys() {
		return &Report{}, errors.New("there is no deploy step whose plan could be saved")
	}
	if c := p.App.Cluster; c != nil && c.KubeconfigSecretRef != nil {
		for _, s := range p.file.Secrets {
			if s.Metadata.Name == c.KubeconfigSecretRef.Name {
				return &Report{}, stages.WithHint(fmt.Errorf("the plan can't be saved: the kubeconfig of its cluster is in Secret %s of the file, and a saved plan holds no credentials", s.Metadata.Name),
					"put the Secret into the App's namespace, or deploy with --kubeconfig instead of cluster.kubeconfigSecretRef")
			}
		}
	}
	return p.execute(ctx, opts, modeSave)
}

func (p *Plan) deploys() bool {
	for _, s := range p.Steps {
		if s.Stage == stages.Deploy {
			return true
		}
	}
	return false
}

// save keeps the plan of a deploy step for the report.
func (r *run) save(ctx context.Context, s Step, job *stages.Job) ([]stages.Change, error) {
	if missing := r.unmade(); len(missing) > 0 {
		return nil, stages.WithHint(&NotBuiltError{Images: missing}, "strake run --until publish does so; make the plan then")
	}
	saver, ok := s.step.(stages.Saver)
	if !ok {
		return nil, fmt.Errorf("the %s plugin can't save a plan", s.Plugin.Name)
	}
	saved, err := await(ctx, s, func() (*stages.Saved, error) { return saver.Save(ctx, job) })
	if err != nil {
		return nil, err
	}
	config, err := s.spec.With.Value()
	if err != nil {
		return nil, err
	}
	step := SavedStep{Name: s.Name, Plugin: s.Plugin.Name, Timeout: s.spec.Timeout, Manifests: job.Manifests, Saved: *saved}
	// Diffs are for those who look at the plan now; what is kept says enough without them.
	step.Saved.Changes = slices.Clone(saved.Changes)
	for i := range step.Saved.Changes {
		step.Saved.Changes[i].Diff = ""
	}
	if config != nil {
		if step.Config, err = json.Marshal(config); err != nil {
			return nil, err
		}
	}
	r.report.Saved = append(r.report.Saved, step)
	return saved.Changes, nil
}

// unmade names the images and artifacts that a plan has found to be made first.
func (r *run) unmade() []string {
	var names []string
	for _, c := range r.report.Changes {
		if (c.Op == "build" || c.Op == "push") && !slices.Contains(names, c.Name) {
			names = append(names, c.Name)
		}
	}
	return names
}

// Restore compiles saved steps to a plan for [Plan.Apply]. name is that of the file they are from.
func Restore(name string, app stages.App, steps []SavedStep, plugins *stages.Registry) (*Plan, error) {
	at := schema.Pos{File: name}
	pipe := &schema.Pipeline{
		APIVersion: schema.APIVersion, Kind: schema.KindPipeline,
		Metadata: schema.Metadata{Name: app.Name, Namespace: app.Namespace},
		Spec:     schema.PipelineSpec{Identity: app.Identity},
	}
	for i, s := range steps {
		path := fmt.Sprintf("steps[%d]", i)
		node, err := schema.NewNode(map[string]any{"uses": s.Plugin}, at, path)
		if err != nil {
			return nil, err
		}
		step := schema.Step{Name: s.Name, Stage: string(stages.Deploy), Uses: s.Plugin, Timeout: s.Timeout}.At(node)
		if len(s.Config) > 0 {
			var config any
			if err := json.Unmarshal(s.Config, &config); err != nil {
				return nil, node.Errorf("config: %s", err)
			}
			if step.With, err = schema.NewNode(config, at, path+".config"); err != nil {
				return nil, err
			}
		}
		pipe.Spec.Stages = append(pipe.Spec.Stages, step)
	}
	plan, err := Compile(&schema.File{Name: name, Pipeline: pipe}, plugins)
	if err != nil {
		return nil, err
	}
	plan.App = app
	return plan, nil
}

// Apply makes the writes of saved plans, whose steps are those of p. A step of which the cluster no longer
// is as it was writes nothing; the error then wraps a [*stages.RefusedError]. Steps without any write ask
// the cluster nothing. It needs no workspace.
func (p *Plan) Apply(ctx context.Context, opts Options, origin stages.Origin, saved []SavedStep) error {
	r := p.newRun(opts, modeRun)
	r.lock, r.origin = &stages.Lock{}, origin
	r.begin(p.Steps)
	return r.finish(ctx, r.apply(ctx, saved))
}

func (r *run) apply(ctx context.Context, saved []SavedStep) error {
	var pending []Step
	for i, s := range r.plan.Steps {
		if len(saved[i].Saved.Writes) > 0 {
			pending = append(pending, s)
		}
	}
	if err := r.check(ctx, pending); err != nil {
		return err
	}
	for i, s := range r.plan.Steps {
		if len(saved[i].Saved.Writes) == 0 {
			continue
		}
		saver, ok := s.step.(stages.Saver)
		if !ok {
			return r.blame(s, fmt.Errorf("the %s plugin can't apply a saved plan", s.Plugin.Name))
		}
		job := r.job(s)
		job.Manifests = saved[i].Manifests
		_, err := directly(ctx, r, s, job, func(ctx context.Context) (stages.Result, error) {
			result, err := saver.Apply(ctx, job, &saved[i].Saved)
			if _, refused := errors.AsType[*stages.RefusedError](err); refused && stages.Hint(err) == "" {
				err = stages.WithHint(err, "make a new plan with strake plan --out, and look at it again")
			}
			return result, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// directly calls a deploy step outside of the workspace, within its time, and tells of it.
func directly[T any](ctx context.Context, r *run, s Step, job *stages.Job, do func(context.Context) (T, error)) (T, error) {
	if t := s.spec.Timeout; t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, t, &TimeoutError{After: t})
		defer cancel()
	}
	started := time.Now()
	job.Events.Observe(stages.Event{Type: stages.StepStarted, Message: s.Plugin.Name})
	value, err := await(ctx, s, func() (T, error) { return do(ctx) })
	event := stages.Event{Type: stages.StepFinished, Seconds: time.Since(started).Seconds()}
	if err != nil {
		failure := r.blame(s, err)
		event.Error, event.Hint = failure.text, stages.Hint(err)
		job.Events.Observe(event)
		return value, failure
	}
	job.Events.Observe(event)
	return value, nil
}
