package ytt

import (
	"context"
	"errors"

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
	l := &lookup{objects: job.Objects, app: job.App}
	in, err := gather(ctx, &s.config, job, l)
	if err != nil {
		return stages.Result{}, err
	}
	in.Warn = func(message string) { stages.Warn(job.Events, l.secret.clean(message)) }
	manifests, err := Render(ctx, in)
	if err != nil {
		if ctx.Err() != nil {
			return stages.Result{}, err
		}
		return stages.Result{}, withoutSecrets(err, &l.secret)
	}
	return stages.Result{Manifests: manifests}, nil
}

// withoutSecrets returns an error of ytt with secrets masked in its text; the hint stays.
func withoutSecrets(err error, secret *secrets) error {
	clean := errors.New(secret.clean(err.Error()))
	if hint := stages.Hint(err); hint != "" {
		return stages.WithHint(clean, "%s", hint)
	}
	return clean
}

// Check makes sure that the Secrets, ConfigMaps and fields of the App which the configuration names
// exist. The files are not there yet.
func (s *step) Check(ctx context.Context, job *stages.Job) error {
	l := &lookup{objects: job.Objects, app: job.App}
	var found []error
	if _, err := gatherInline(ctx, s.config.Inline, l); err != nil {
		found = append(found, err)
	}
	for i := range s.config.ValuesFrom {
		source := &s.config.ValuesFrom[i]
		if source.Path != "" {
			continue
		}
		if _, err := gatherValues(ctx, source, job, l); err != nil {
			found = append(found, err)
		}
	}
	return errors.Join(found...)
}
