package cli

import (
	"context"

	"github.com/spf13/cobra"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/pipeline"
	"strake.dev/strake/stages"
)

type runOptions struct {
	runFlags
	rangeFlags
	limitFlags
	watchFlags
}

func newRunCommand(t *tool) *cobra.Command {
	var opts runOptions
	cmd := &cobra.Command{
		Use:   "run [flags]",
		Short: "Run all stages: fetch, template, build and deploy",
		Long: `Run the steps of a file in order. What has not changed since the last run is
not done again. References are resolved and written to the lock file before
anything is deployed.

A Pipeline with targets or several Apps is run for each of them, one after the
other or as many at a time as its maxParallel says; --target and --app choose.

With --watch, run again whenever a file of the App or what a branch, tag or
version leads to has changed; an edit of what a run has read already ends that
run. --logs and --port-forward show what was deployed until interrupted.

With --output app, print the App with the status that kapp-controller would have
written after doing the same, also when a step has failed.`,
		Example: `  strake run
  strake run -f app.yaml --set replicas=3
  strake run -f app.yaml --locked --timeout 15m
  strake run -f app.yaml --until build
  strake run --watch --logs --port-forward service/web:8080:80
  strake run -f release.yaml --target staging --set channel=stable`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return t.run(cmd, &opts) },
	}
	opts.runFlags.add(cmd, formatApp)
	opts.addReports(t, cmd)
	opts.rangeFlags.add(cmd, stages.All()...)
	opts.limitFlags.add(cmd)
	opts.watchFlags.add(cmd)
	return cmd
}

func (t *tool) run(cmd *cobra.Command, o *runOptions) error {
	if err := o.rangeFlags.check(cmd); err != nil {
		return err
	}
	if err := o.watchFlags.check(cmd, o); err != nil {
		return err
	}
	if o.stays() {
		return t.runAndWatch(cmd, o)
	}
	return t.conclude(cmd.Context(), "run", &o.outputFlags, func(events *render.JSON) (printable, error) {
		return t.runOnce(cmd.Context(), cmd, o, events, func(*session) error { return nil })
	})
}

// runOnce opens the session, lets prepare do something with it, and runs it.
func (t *tool) runOnce(ctx context.Context, cmd *cobra.Command, o *runOptions, events *render.JSON, prepare func(*session) error) (printable, error) {
	s, err := t.openRuns(cmd, &o.runFlags)
	if err != nil {
		return nil, err
	}
	s.configure(func(opts *pipeline.Options) {
		opts.From, opts.Until = o.stages()
		opts.Limits = o.limits()
	})
	if err := prepare(s); err != nil {
		return nil, err
	}
	if o.format.value == formatApp {
		if err := s.single(); err != nil {
			return nil, err
		}
		return nil, t.runAsApp(ctx, s, o)
	}
	_, result, err := t.runSteps(ctx, s, &o.engineFlags, events)
	return result, err
}
