package kustomize

import (
	"context"
	"fmt"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// A Config is the configuration of a kustomize step.
type Config struct {
	// Path is the folder, in the App's folder, with the kustomization.yaml to build.
	Path string `json:"path"`
}

// Validate checks the path. kapp-controller knows the entry without any field and refuses it.
func (c *Config) Validate(n *schema.Node) error {
	at := n.Get("path")
	if c.Path == "" {
		d := n.Errorf("unsupported way to template: path is missing")
		d.Hint = "name the folder with the kustomization.yaml, as in “kustomize: {path: overlays/prod}”"
		return d
	}
	if _, err := stages.Clean(c.Path); err != nil {
		return schema.Diagnostic{Pos: at.Pos(), Path: at.Path(), Msg: err.Error()}
	}
	return nil
}

// Plugin returns the template plugin “kustomize”.
func Plugin() stages.Plugin {
	return stages.Define(stages.Plugin{
		Stage:   stages.Template,
		Name:    "kustomize",
		Doc:     "Builds a kustomization, of which the manifests so far are the first resources.",
		Version: version,
	}, func(c Config) (stages.Step, error) { return &step{path: c.Path}, nil })
}

// version is that of the library; a test compares it with go.mod.
const version = "v0.21.2"

type step struct{ path string }

// Run renders the manifests.
func (s *step) Run(ctx context.Context, job *stages.Job) (stages.Result, error) {
	if err := ctx.Err(); err != nil {
		return stages.Result{}, err
	}
	if len(job.Values) > 0 {
		stages.Warn(job.Events, "--set has no effect on kustomize: a kustomization has no values")
	}
	manifests, err := build(ctx, job, s.path)
	if err != nil {
		return stages.Result{}, err
	}
	return stages.Result{Manifests: manifests}, nil
}

// Key is the digest of the App's folder: a kustomization may name any file of it.
func (s *step) Key(ctx context.Context, job *stages.Job) (string, error) {
	digest, err := job.Sources.Digest(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("folder %s", digest), nil
}
