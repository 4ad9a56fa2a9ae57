// Package ours is a plugin that is compiled in: it adds a comment to the manifests.
package ours

import (
	"context"

	"strake.dev/strake/stages"
)

// A Config is the configuration of a step “ours: {owner: NAME}”.
type Config struct {
	// Owner is a team.
	Owner string `json:"owner" required:"true"`
}

// Plugin returns the template plugin “ours”.
func Plugin() stages.Plugin {
	return stages.Define(stages.Plugin{
		Stage: stages.Template, Name: "ours", Doc: "Says who owns the manifests.", Version: "v1.0.0",
	}, func(c Config) (stages.Step, error) { return &step{c}, nil })
}

type step struct{ config Config }

// Run adds the comment.
func (s *step) Run(ctx context.Context, job *stages.Job) (stages.Result, error) {
	if err := ctx.Err(); err != nil {
		return stages.Result{}, err
	}
	return stages.Result{Manifests: append([]byte("# owner: "+s.config.Owner+"\n"), job.Manifests...)}, nil
}
