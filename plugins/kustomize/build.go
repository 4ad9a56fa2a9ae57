package kustomize

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"

	"strake.dev/strake/internal/stdlog"
	"strake.dev/strake/stages"
)

// running keeps builds apart: kustomize has one OpenAPI schema for the whole program.
var running sync.Mutex

// build returns what kustomize prints. It can't be interrupted: when ctx ends, build returns and leaves
// kustomize to itself, which reads nothing more then.
func build(ctx context.Context, job *stages.Job, path string) (stages.Manifests, error) {
	files := newFolder(ctx, job.Sources.FS(), path)
	resources, others, err := divide(job.Manifests)
	if err != nil {
		return nil, fmt.Errorf("the manifests so far: %w", err)
	}
	files.stream = resources
	type outcome struct {
		manifests []byte
		err       error
	}
	done := make(chan outcome, 1)
	said := stdlog.NewLines(func(line string) { stages.Warn(job.Events, line) })
	defer said.Close()
	go func() {
		var o outcome
		defer func() {
			if p := recover(); p != nil {
				o = outcome{err: fmt.Errorf("kustomize panicked: %v", p)}
			}
			done <- o
		}()
		running.Lock()
		defer running.Unlock()
		defer stdlog.To(said)()
		o.manifests, o.err = run(files)
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case o := <-done:
		if o.err != nil {
			return nil, files.explain(o.err)
		}
		return append(o.manifests, others...), nil
	}
}

func run(files *folder) ([]byte, error) {
	opts := krusty.MakeDefaultOptions()
	// As the command has it: what the kustomization says, else the order of the resources.
	opts.Reorder = krusty.ReorderOptionUnspecified
	// The folder can't be left.
	opts.LoadRestrictions = types.LoadRestrictionsNone
	result, err := krusty.MakeKustomizer(opts).Run(files, files.target)
	if err != nil {
		return nil, err
	}
	manifests, err := result.AsYaml()
	if manifests == nil {
		manifests = []byte{}
	}
	return manifests, err
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
