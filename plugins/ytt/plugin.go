package ytt

import (
	"context"
	"errors"

	"strake.dev/strake/internal/appvalues"
	"strake.dev/strake/stages"
)

// Plugin returns the template plugin “ytt”.
func Plugin() stages.Plugin {
	return stages.Define(stages.Plugin{
		Stage:   stages.Template,
		Name:    "ytt",
		Doc:     "Renders manifests from ytt templates, data values and overlays.",
		Version: Version(),
	}, func(c Config) (stages.Step, error) { return &step{config: c}, nil })
}

type step struct{ config Config }

// Run renders the manifests.
func (s *step) Run(ctx context.Context, job *stages.Job) (stages.Result, error) {
	l := appvalues.NewLookup(job)
	in, err := gather(ctx, &s.config, job, l)
	if err != nil {
		return stages.Result{}, err
	}
	in.Warn = func(message string) { stages.Warn(job.Events, l.Secrets.Clean(message)) }
	manifests, err := Render(ctx, in)
	if err != nil {
		if ctx.Err() != nil {
			return stages.Result{}, err
		}
		return stages.Result{}, l.Clean(err)
	}
	return stages.Result{Manifests: manifests}, nil
}

// Check makes sure that the Secrets, ConfigMaps and fields of the App which the configuration names
// exist. The files are not there yet.
func (s *step) Check(ctx context.Context, job *stages.Job) error {
	l := appvalues.NewLookup(job)
	var found []error
	if _, err := gatherInline(ctx, s.config.Inline, l); err != nil {
		found = append(found, err)
	}
	found = append(found, l.Check(ctx, s.config.ValuesFrom))
	return errors.Join(found...)
}
