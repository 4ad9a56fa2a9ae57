package kustomize

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"strake.dev/strake/internal/kustomization"
	"strake.dev/strake/stages"
)

// build returns what kustomize prints. When ctx ends, it leaves kustomize to itself, which reads nothing
// more then.
func build(ctx context.Context, job *stages.Job, path string) (stages.Manifests, error) {
	files := newFolder(ctx, job.Sources.FS(), path)
	resources, others, err := divide(job.Manifests)
	if err != nil {
		return nil, fmt.Errorf("the manifests so far: %w", err)
	}
	files.stream = resources
	manifests, err := kustomization.Build(ctx, files, files.target, func(line string) { stages.Warn(job.Events, line) })
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, files.explain(err)
	}
	return append(manifests, others...), nil
}

// hints are advice for causes that kustomize's messages leave open, by a part of the message.
var hints = []struct{ cause, advice string }{
	{"--enable-helm", "a chart is rendered by a template step of its own: fetch it with helmChart, and add “helmTemplate: {path: …}” before this one"},
	{"unable to find one of 'kustomization.yaml'", "path names the folder with the kustomization.yaml, counted from the App's folder"},
	{"external plugins disabled", "plugins and functions would run programs: do their work in a template step of its own, such as ytt"},
	{"already registered id", "the object is among the manifests so far and among the resources: list it once"},
	{"no matches for Id", "the patch changes an object that is not there: correct its name or kind"},
}

// explain returns the error of a build in the App's terms.
func (f *folder) explain(err error) error {
	if first := f.refused(); first != nil {
		return first
	}
	text := strings.TrimSpace(strings.ReplaceAll(err.Error(), top+"/", ""))
	text = strings.ReplaceAll(text, "'"+top+"'", "'.'")
	for _, h := range hints {
		if strings.Contains(text, h.cause) {
			return stages.WithHint(errors.New(text), "%s", h.advice)
		}
	}
	return errors.New(text)
}
