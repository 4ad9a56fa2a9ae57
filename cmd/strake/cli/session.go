package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/internal/report"
	"strake.dev/strake/internal/report/github"
	"strake.dev/strake/pipeline"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// engineFlags are those of all commands that compile a file and do something with its steps.
type engineFlags struct {
	fileFlags
	remoteFlags
	outputFlags
	timeoutFlag
	// local is a flag only where sources are fetched.
	local bool
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
	cmd.Flags().BoolVarP(&f.local, "local", "l", false, "take local folders instead of the sources for which the App's annotations kctrl.carvel.dev/local-fetch-N name one, from the working directory")
	fromEnv(cmd.Flags(), "local", "STRAKE_LOCAL")
	cmd.Flags().BoolVar(&f.rebuild, "rebuild", false, "build images from source even if nothing has changed")
}

// A session is one compiled file and how its steps are to be run.
type session struct {
	// file is the name of the file.
	file string
	plan *pipeline.Plan
	opts pipeline.Options
	// also, if not nil, is told what happens as well.
	also stages.Observer
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
	var edits []func(*schema.File) error
	if f.local {
		edits = append(edits, fetchLocally)
	}
	plan, err := t.load(ctx, name, stages.NewRegistry(t.Plugins(deps)...), edits...)
	if err != nil {
		return nil, err
	}
	return &session{file: name, plan: plan, opts: pipeline.Options{
		Version: t.version(), Dir: folder(name), Cluster: deps.Cluster.Objects(plan.App.Namespace),
		Target: deps.Cluster.Target,
	}}, nil
}

// fetchLocally counts the folders from the working directory, as kctrl does.
func fetchLocally(f *schema.File) error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	return f.FetchLocally(dir)
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
func (t *tool) work(ctx context.Context, s *session, f *engineFlags, events *render.JSON, do func(context.Context, pipeline.Options) error) (*report.Run, error) {
	return t.watch(ctx, s, &f.outputFlags, &f.timeoutFlag, t.display(&f.outputFlags, events, s.steps()), do)
}

// watch calls do as work does, with a display of the caller's, which it closes.
func (t *tool) watch(ctx context.Context, s *session, flags *outputFlags, limit *timeoutFlag, show display, do func(context.Context, pipeline.Options) error) (*report.Run, error) {
	defer show.Close()
	record := flags.recording
	if record == nil {
		record = &recording{tool: t, begun: true}
	}
	record.workspace = s.opts.Workspace
	events := &gate{to: []stages.Observer{record, show}}
	if s.also != nil {
		events.to = append(events.to, s.also)
	}
	defer events.close()
	ctx, cancel := limit.limit(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		stages.Warn(stamped{events}, context.Cause(ctx).Error()+": stopping…")
	})()

	opts := s.opts
	opts.Observer, opts.Secret = events, t.mask(flags)
	err := do(ctx, opts)
	if err != nil && record.run.Error != "" {
		err = &runError{err: err, hint: record.run.Hint}
	}
	return &record.run, err
}

// mask returns what has GitHub's runner replace secrets in the logs of all steps; nil elsewhere. The runner
// reads standard error through a pipe: into a file, or onto a terminal, secrets aren't written.
func (t *tool) mask(flags *outputFlags) func(value string) {
	if t.getenv("GITHUB_ACTIONS") != "true" || t.progress(flags.progress.value) != progressGitHub {
		return nil
	}
	if file, ok := t.err.(*os.File); ok {
		if info, err := file.Stat(); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
			return nil
		}
	}
	return func(value string) { _, _ = io.WriteString(t.err, github.Mask(value)) }
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

// A gate passes events on, one at a time, until it is closed: those of a step that the engine has given up
// on are dropped from then on.
type gate struct {
	mu     sync.Mutex
	to     []stages.Observer
	closed bool
}

func (g *gate) Observe(e stages.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return
	}
	for _, o := range g.to {
		o.Observe(e)
	}
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}

// stamped sets the time of events that don't come from the engine.
type stamped struct{ to stages.Observer }

func (s stamped) Observe(e stages.Event) {
	e.Time = time.Now()
	s.to.Observe(e)
}
