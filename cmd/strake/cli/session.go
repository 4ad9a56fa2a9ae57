package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/pipeline"
	"strake.dev/strake/stages"
)

// engineFlags are those of all commands that compile a file and do something with its steps.
type engineFlags struct {
	fileFlags
	remoteFlags
	outputFlags
	timeoutFlag
}

func (f *engineFlags) add(cmd *cobra.Command, formats ...string) {
	f.fileFlags.add(cmd)
	f.outputFlags.add(cmd, formats...)
	f.timeoutFlag.add(cmd)
	f.remoteFlags.add(cmd.Flags())
}

// runFlags are those of commands that run steps.
type runFlags struct {
	engineFlags
	workspaceFlags
	valueFlags
}

func (f *runFlags) add(cmd *cobra.Command, formats ...string) {
	f.engineFlags.add(cmd, formats...)
	f.workspaceFlags.add(cmd)
	f.valueFlags.add(cmd)
	cmd.Flags().BoolVar(&f.rebuild, "rebuild", false, "build images from source even if nothing has changed")
}

// A session is one compiled file and how its steps are to be run.
type session struct {
	// file is the name of the file.
	file string
	plan *pipeline.Plan
	opts pipeline.Options
}

// open reads and compiles the file that the flags name. It has no side effects.
func (t *tool) open(ctx context.Context, f *engineFlags) (*session, error) {
	name, err := f.name()
	if err != nil {
		return nil, err
	}
	deps, err := f.deps(t.userAgent())
	if err != nil {
		return nil, err
	}
	plan, err := t.load(ctx, name, stages.NewRegistry(t.Plugins(deps)...))
	if err != nil {
		return nil, err
	}
	return &session{file: name, plan: plan, opts: pipeline.Options{
		Version: t.version(), Dir: folder(name), Cluster: deps.Cluster.Objects(plan.App.Namespace),
		Target: deps.Cluster.Target,
	}}, nil
}

// openRun is open with what running steps needs.
func (t *tool) openRun(cmd *cobra.Command, f *runFlags) (*session, error) {
	values, err := f.values(cmd)
	if err != nil {
		return nil, err
	}
	s, err := t.open(cmd.Context(), &f.engineFlags)
	if err != nil {
		return nil, err
	}
	s.opts.Values, s.opts.Locked, s.opts.LockFile = values, f.locked, f.lockFor(s.file)
	s.opts.Workspace, err = f.folder(s.file, s.plan.App.Name)
	return s, err
}

// steps are the names of the plan's steps.
func (s *session) steps() []string {
	var names []string
	for _, step := range s.plan.Steps {
		names = append(names, step.Name)
	}
	return names
}

// work calls do with the session's options, lets the display show what happens, and returns what the
// events sum up to. After it nothing is shown any more.
func (t *tool) work(ctx context.Context, s *session, f *engineFlags, events *render.JSON, do func(context.Context, pipeline.Options) error) (*render.Summary, error) {
	show := t.display(&f.outputFlags, events, s.steps())
	defer show.Close()
	summary := render.NewSummary(show)
	defer summary.Close()
	ctx, cancel := f.limit(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		stages.Warn(stamped{summary}, context.Cause(ctx).Error()+": stopping…")
	})()

	opts := s.opts
	opts.Observer = summary
	err := do(ctx, opts)
	if err != nil && summary.Error != "" {
		err = &runError{err: err, hint: summary.Hint}
	}
	return summary, err
}

// limit ends a context after the time-out.
func (f *timeoutFlag) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if f.timeout.Duration == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, f.timeout.Duration, &timeoutError{f.timeout.Duration})
}

// A timeoutError is the cause of a context that --timeout ended.
type timeoutError struct{ after time.Duration }

func (e *timeoutError) Error() string { return fmt.Sprintf("timed out after %s", e.after) }

func (e *timeoutError) Unwrap() error { return context.DeadlineExceeded }

// stamped sets the time of events that don't come from the engine.
type stamped struct{ to stages.Observer }

func (s stamped) Observe(e stages.Event) {
	e.Time = time.Now()
	s.to.Observe(e)
}
