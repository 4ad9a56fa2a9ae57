// Package kustomization builds kustomizations with kustomize's own packages, so that equal input gives
// the bytes that “kustomize build” prints. No plugin, function or chart is run.
package kustomization

import (
	"context"
	"fmt"
	"sync"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"strake.dev/strake/internal/stdlog"
)

// running keeps builds apart: kustomize has one OpenAPI schema for the whole program.
var running sync.Mutex

// Build returns what a folder with a kustomization, in a file system of kustomize's, makes. Files may lie
// anywhere in the file system. What kustomize warns of is told to warn. It can't be interrupted: when ctx
// ends, Build returns and leaves kustomize to itself.
func Build(ctx context.Context, files filesys.FileSystem, folder string, warn func(string)) ([]byte, error) {
	type outcome struct {
		manifests []byte
		err       error
	}
	done := make(chan outcome, 1)
	said := stdlog.NewLines(warn)
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
		o.manifests, o.err = run(files, folder)
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case o := <-done:
		return o.manifests, o.err
	}
}

func run(files filesys.FileSystem, folder string) ([]byte, error) {
	opts := krusty.MakeDefaultOptions()
	// As the command has it: what the kustomization says, else the order of the resources.
	opts.Reorder = krusty.ReorderOptionUnspecified
	opts.LoadRestrictions = types.LoadRestrictionsNone
	result, err := krusty.MakeKustomizer(opts).Run(files, folder)
	if err != nil {
		return nil, err
	}
	manifests, err := result.AsYaml()
	if manifests == nil {
		manifests = []byte{}
	}
	return manifests, err
}
