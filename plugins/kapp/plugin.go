// Package kapp is the deploy plugin on kapp's own library: it brings manifests to a cluster, waits
// until they are healthy, removes what is no longer in them, and can delete and inspect the result.
//
// What it stores in the cluster is kapp's own state, so that strake and the kapp command can take
// over an app from each other at any time. On top of the library it adds: everything that can be
// known to fail is found before the first write and reported at once; nothing is written when there
// is nothing to apply; output is events instead of text; errors name the object and the reason; and
// no request outlives the context.
package kapp

import (
	"context"

	"strake.dev/strake/internal/kube"
	"strake.dev/strake/stages"
)

// Deps are what the plugin needs from the program.
type Deps struct {
	// Cluster is the one to deploy to, with the identity to use, unless an App names others.
	Cluster *kube.Cluster
}

// Plugin returns the plugin that entries “deploy: [{kapp: …}]” name.
func Plugin(deps Deps) stages.Plugin {
	return stages.Define(stages.Plugin{
		Stage:   stages.Deploy,
		Name:    "kapp",
		Doc:     "Applies the manifests to a Kubernetes cluster with kapp, waits for them, and deletes what is no longer in them.",
		Version: "1",
		Apps: func(ctx context.Context, namespace string) ([]stages.DeployedApp, error) {
			return apps(ctx, deps.Cluster, namespace)
		},
	}, func(c Config) (stages.Step, error) { return &step{cluster: deps.Cluster, config: c}, nil })
}

type step struct {
	cluster *kube.Cluster
	config  Config
}

var (
	_ stages.Step      = (*step)(nil)
	_ stages.Checker   = (*step)(nil)
	_ stages.Planner   = (*step)(nil)
	_ stages.Deleter   = (*step)(nil)
	_ stages.Inspector = (*step)(nil)
	_ stages.Saver     = (*step)(nil)
	_ stages.Historian = (*step)(nil)
)

// Run makes the cluster be as the manifests say, and waits until it is.
func (s *step) Run(ctx context.Context, job *stages.Job) (stages.Result, error) {
	ses, err := s.begin(ctx, job, deployOptions, s.config.deployArgs())
	if err != nil {
		return stages.Result{}, err
	}
	return ses.deploy()
}

// Plan tells what Run would change. It writes nothing to the cluster.
func (s *step) Plan(ctx context.Context, job *stages.Job) (stages.Result, []stages.Change, error) {
	ses, err := s.begin(ctx, job, deployOptions, s.config.deployArgs())
	if err != nil {
		return stages.Result{}, nil, err
	}
	changes, _, err := ses.plan()
	return stages.Result{}, changes, err
}

// Save is Plan with what it takes to carry the plan out.
func (s *step) Save(ctx context.Context, job *stages.Job) (*stages.Saved, error) {
	ses, err := s.begin(ctx, job, deployOptions, s.config.deployArgs())
	if err != nil {
		return nil, err
	}
	return ses.save()
}

// Apply carries out a saved plan, exactly, or refuses.
func (s *step) Apply(ctx context.Context, job *stages.Job, saved *stages.Saved) (stages.Result, error) {
	ses, err := s.begin(ctx, job, deployOptions, s.config.deployArgs())
	if err != nil {
		return stages.Result{}, err
	}
	return ses.applySaved(saved)
}

// Delete removes the app's objects and its record.
func (s *step) Delete(ctx context.Context, job *stages.Job) error {
	if job.App.NoopDelete {
		stages.Log(job.Events, "noopDelete is set: the deployed objects and their record are left alone")
		return nil
	}
	ses, err := s.begin(ctx, job, deleteOptions, s.config.Delete.args())
	if err != nil {
		return err
	}
	return ses.delete()
}

// Inspect lists the objects of the app that the cluster has.
func (s *step) Inspect(ctx context.Context, job *stages.Job) ([]stages.Object, error) {
	ses, err := s.begin(ctx, job, inspectOptions, s.config.Inspect.args())
	if err != nil {
		return nil, err
	}
	return ses.inspect()
}
