package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/internal/report"
	"strake.dev/strake/internal/report/github"
	"strake.dev/strake/pipeline"
	"strake.dev/strake/plugins"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// engineFlags are those of all commands that compile a file and do something with its steps.
type engineFlags struct {
	fileFlags
	unitFlags
	valueFlags
	remoteFlags
	outputFlags
	timeoutFlag
	// local is a flag only where sources are fetched.
	local bool
}

func (f *engineFlags) add(cmd *cobra.Command, formats ...string) {
	f.fileFlags.add(cmd)
	f.unitFlags.add(cmd)
	f.valueFlags.add(cmd)
	f.outputFlags.add(cmd, formats...)
	f.timeoutFlag.add(cmd)
	f.remoteFlags.add(cmd.Flags())
}

// runFlags are those of commands that run steps.
type runFlags struct {
	engineFlags
	workspaceFlags
}

func (f *runFlags) add(cmd *cobra.Command, formats ...string) {
	f.engineFlags.add(cmd, formats...)
	f.workspaceFlags.add(cmd)
	cmd.Flags().BoolVarP(&f.local, "local", "l", false, "take local folders instead of the sources for which the App's annotations kctrl.carvel.dev/local-fetch-N name one, from the working directory")
	fromEnv(cmd.Flags(), "local", "STRAKE_LOCAL")
	cmd.Flags().StringVar(&f.buildCache, "build-cache", "", "`REPOSITORY` that keeps the steps of builds, for daemons that have none of them, such as those of CI jobs; for sources that name no cache themselves")
	fromEnv(cmd.Flags(), "build-cache", "STRAKE_BUILD_CACHE")
	cmd.Flags().BoolVar(&f.rebuild, "rebuild", false, "build images from source even if nothing has changed")
}

// A session is one compiled file and how its steps are to be run.
type session struct {
	// file is the name of the file.
	file string
	// set is what the file compiles to; units are its plans, and plan is the only one.
	set   *pipeline.Set
	units []*unit
	plan  *pipeline.Plan
	// opts are those of the only plan. Of several, they have only the workspace of the whole.
	opts pipeline.Options
	// records is the folder that keeps the events, if that isn't the workspace: the runs of a Pipeline are kept in
	// one place, whether it was all of it or a part.
	records string
	// also, if not nil, is told what happens as well.
	also stages.Observer
	// secret, if not nil, is told each value that is kept out of all texts.
	secret func(value string)
}

// A unit is one plan of a session, and how it is run.
type unit struct {
	*pipeline.Unit
	opts pipeline.Options
}

// open reads and compiles the file that the flags name, which has to have one plan. It has no side effects.
func (t *tool) open(ctx context.Context, f *engineFlags) (*session, error) {
	s, err := t.openAll(ctx, f)
	if err != nil {
		return nil, err
	}
	return s, s.single()
}

// single returns an error if the session has several plans, or none.
func (s *session) single() error {
	if s.plan != nil {
		return nil
	}
	var names []string
	for _, u := range s.units {
		names = append(names, u.Name)
	}
	if len(names) == 0 {
		return s.nothing()
	}
	return stages.WithHint(fmt.Errorf("%s makes %d runs, and this is for one", s.file, len(names)), "choose one with --target and --app: %s", strings.Join(names, ", "))
}

// nothing is why a session has no plan.
func (s *session) nothing() error {
	var reasons []string
	for _, left := range s.set.Left {
		reasons = append(reasons, left.Name+": "+left.Reason)
	}
	return &pipeline.IdleError{Reason: strings.Join(reasons, "; ")}
}

// openAll is open for a file with any number of plans.
func (t *tool) openAll(ctx context.Context, f *engineFlags) (*session, error) {
	values, err := f.values()
	if err != nil {
		return nil, err
	}
	name, err := f.name()
	if err != nil {
		return nil, err
	}
	deps, err := f.deps(t.userAgent())
	if err != nil {
		return nil, err
	}
	clusters := map[schema.TargetKube]plugins.Deps{{}: deps}
	loader := t.loader(ctx, func(kube schema.TargetKube) (*stages.Registry, error) {
		kube.Namespace = "" // it is the same cluster
		if _, known := clusters[kube]; !known {
			deps, err := f.at(kube).deps(t.userAgent())
			if err != nil {
				return nil, err
			}
			clusters[kube] = deps
		}
		return stages.NewRegistry(t.Plugins(clusters[kube])...), nil
	})
	loader.Targets, loader.Apps = f.targets, f.apps
	if f.local {
		loader.Edits = append(loader.Edits, fetchLocally)
	}
	if err := f.give(loader, values); err != nil {
		return nil, err
	}
	set, err := loader.Load(name)
	if err != nil {
		return nil, withKnownUnits(err)
	}
	s := &session{file: name, set: set}
	for _, u := range set.Units {
		kube := u.Kube
		kube.Namespace = ""
		cluster := clusters[kube].Cluster
		s.units = append(s.units, &unit{u, pipeline.Options{
			Version: t.version(), Results: deps.Cache, Dir: folder(u.File), Cluster: cluster.Objects(u.Plan.App.Namespace),
			Target: cluster.Target, Values: u.Values,
		}})
	}
	if len(s.units) == 1 {
		s.plan, s.opts = s.units[0].Plan, s.units[0].opts
	}
	return s, nil
}

// at returns the flags for a target's cluster.
func (f *remoteFlags) at(kube schema.TargetKube) *remoteFlags {
	other := *f
	other.kubeconfig = cmp.Or(kube.Kubeconfig, f.kubeconfig)
	other.context = cmp.Or(kube.Context, f.context)
	return &other
}

// withKnownUnits adds to an error about an unknown target or App which ones there are.
func withKnownUnits(err error) error {
	unknown, ok := errors.AsType[*pipeline.UnknownUnitError](err)
	if !ok {
		return err
	}
	if len(unknown.Known) == 0 {
		return stages.WithHint(err, "the file has none to choose from")
	}
	return stages.WithHint(err, "%s", schema.Suggest(unknown.Name, unknown.Known))
}

// fetchLocally counts the folders from the working directory, as kctrl does.
func fetchLocally(f *schema.File) error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	return f.FetchLocally(dir)
}

// openRuns is openAll with what running steps needs.
func (t *tool) openRuns(cmd *cobra.Command, f *runFlags) (*session, error) {
	s, err := t.openAll(cmd.Context(), &f.engineFlags)
	if err != nil {
		return nil, err
	}
	if err := f.lock(s); err != nil {
		return nil, err
	}
	return s, f.place(s)
}

// openRun is openRuns for a file that has to have one plan.
func (t *tool) openRun(cmd *cobra.Command, f *runFlags) (*session, error) {
	s, err := t.openRuns(cmd, f)
	if err != nil {
		return nil, err
	}
	return s, s.single()
}

// configure changes the options of all plans.
func (s *session) configure(change func(*pipeline.Options)) {
	change(&s.opts)
	for _, u := range s.units {
		change(&u.opts)
	}
}

// name is that of the App or Pipeline.
func (s *session) name() string {
	if s.plan != nil {
		return s.plan.App.Namespace + "/" + s.plan.App.Name
	}
	return s.set.Name
}

// steps are the names of the plans' steps.
func (s *session) steps() []string {
	steps := s.set.Steps
	if s.plan != nil {
		steps = func() []pipeline.Step { return s.plan.Steps }
	}
	var names []string
	for _, step := range steps() {
		names = append(names, step.Name)
	}
	return names
}

// each calls do for every plan with its options. Several run as one, in which the names of steps tell whose they
// are.
func (s *session) each(ctx context.Context, opts pipeline.Options, do func(context.Context, *unit, pipeline.Options) error) error {
	if s.plan != nil {
		return do(ctx, s.units[0], opts)
	}
	return s.set.Run(ctx, opts.Observer, func(ctx context.Context, pu *pipeline.Unit, to stages.Observer) error {
		u := s.units[slices.Index(s.set.Units, pu)]
		own := u.opts
		own.Observer, own.Secret, own.Secrets = to, opts.Secret, opts.Secrets
		return do(ctx, u, own)
	})
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
	record.workspace = cmp.Or(s.records, s.opts.Workspace)
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
	opts.Observer, opts.Secret, opts.Secrets = events, t.mask(flags), t.learned
	if mask := opts.Secret; s.secret != nil {
		opts.Secret = func(value string) {
			s.secret(value)
			if mask != nil {
				mask(value)
			}
		}
	}
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
