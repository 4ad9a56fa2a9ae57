package helm

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"strake.dev/strake/internal/appvalues"
	"strake.dev/strake/internal/stdlog"
	"strake.dev/strake/stages"
)

// Plugin returns the template plugin “helm”, whose entries are called helmTemplate.
func Plugin() stages.Plugin {
	return stages.Define(stages.Plugin{
		Stage:   stages.Template,
		Name:    "helm",
		Keys:    []string{"helmTemplate"},
		Doc:     "Renders manifests from a Helm chart, without asking a cluster or a repository.",
		Version: version,
	}, func(c Config) (stages.Step, error) { return &step{config: c}, nil })
}

// version is that of the library; a test compares it with go.mod.
const version = "v4.3.1"

type step struct{ config Config }

// Run renders the manifests.
func (s *step) Run(ctx context.Context, job *stages.Job) (stages.Result, error) {
	if err := ctx.Err(); err != nil {
		return stages.Result{}, err
	}
	l := appvalues.NewLookup(job)
	in, err := s.gather(ctx, job, l)
	if err != nil {
		return stages.Result{}, err
	}
	said := stdlog.NewLines(func(line string) { stages.Warn(job.Events, l.Secrets.Clean(line)) })
	defer said.Close()
	in.Log = said
	manifests, err := Render(ctx, in)
	if err != nil {
		if ctx.Err() != nil {
			return stages.Result{}, err
		}
		return stages.Result{}, l.Clean(err)
	}
	return stages.Result{Manifests: manifests}, nil
}

// gather reads everything that a rendering depends on.
func (s *step) gather(ctx context.Context, job *stages.Job, l *appvalues.Lookup) (Input, error) {
	in := Input{Name: cmp.Or(s.config.Name, job.App.Name), Namespace: cmp.Or(s.config.Namespace, job.App.Namespace)}
	if err := s.facts(ctx, l, &in); err != nil {
		return Input{}, err
	}
	values, err := l.Read(ctx, s.config.ValuesFrom)
	if err != nil {
		return Input{}, err
	}
	for _, v := range values {
		in.Values = append(in.Values, Values{Name: v.Name, Data: v.Data})
	}
	if in.Set, err = appvalues.Set(job.Values); err != nil {
		return Input{}, err
	}
	if len(job.Manifests) > 0 && !appvalues.ReadsStream(s.config.ValuesFrom) {
		stages.Warn(job.Events, "the manifests so far are dropped: a chart can take them only as values (valuesFrom: [{path: \"-\"}])")
	}
	in.Chart, err = read(ctx, job.Sources, cmp.Or(s.config.Path, "."))
	return in, err
}

func (s *step) facts(ctx context.Context, l *appvalues.Lookup, in *Input) (err error) {
	if v := s.config.KubernetesVersion; v != nil {
		if in.KubernetesVersion, err = l.KubernetesVersion(ctx, v); err != nil {
			return fmt.Errorf("kubernetesVersion: %w", err)
		}
	}
	if a := s.config.KubernetesAPIs; a != nil {
		if in.KubernetesAPIs, err = l.KubernetesAPIs(ctx, a); err != nil {
			return fmt.Errorf("kubernetesAPIs: %w", err)
		}
	}
	return nil
}

// Check makes sure that the Secrets, ConfigMaps and fields of the App which the configuration names
// exist, and that the cluster answers if it is to be asked. The chart is not there yet.
func (s *step) Check(ctx context.Context, job *stages.Job) error {
	l := appvalues.NewLookup(job)
	if err := checkName(cmp.Or(s.config.Name, job.App.Name)); err != nil {
		return stages.WithHint(err, "give the release another name, as in “helmTemplate: {name: shop}”")
	}
	if err := l.Check(ctx, s.config.ValuesFrom); err != nil {
		return err
	}
	return s.facts(ctx, l, &Input{})
}

// Key is a digest of the chart, of all values, and of what is known of the cluster.
func (s *step) Key(ctx context.Context, job *stages.Job) (string, error) {
	l := appvalues.NewLookup(job)
	sum := sha256.New()
	chart, err := job.Sources.Digest(ctx, cmp.Or(s.config.Path, "."))
	if err != nil {
		return "", err
	}
	fmt.Fprintf(sum, "chart %s\n", chart)
	if err := l.WriteKey(ctx, sum, s.config.ValuesFrom); err != nil {
		return "", err
	}
	var in Input
	if err := s.facts(ctx, l, &in); err != nil {
		return "", err
	}
	// A map prints with its keys sorted.
	fmt.Fprintf(sum, "%q %q set %q\n", in.KubernetesVersion, in.KubernetesAPIs, job.Values)
	return hex.EncodeToString(sum.Sum(nil)), nil
}
