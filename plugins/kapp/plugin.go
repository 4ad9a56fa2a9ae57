// Package kapp is the deploy plugin on kapp's own library: it brings manifests to a cluster, waits
// until they are healthy, removes what is no longer in them, and can delete and inspect the result.
//
// What it stores in the cluster is kapp's own state, so that strake and the kapp command can take over
// an app from each other at any time. kapp's library says what has to be done, in which order, how, and
// when it is done: configuration, preparation, rebasing, differences, change graph, strategies and wait
// rules are its own. Around it, here:
//
//   - a deploy of unchanged manifests onto unchanged objects is known for such from metadata alone (see
//     live.Proof), and of changed ones only what has changed is read and compared;
//   - everything that can be known to fail is found before the first write and reported at once;
//   - an object is written once where kapp writes it twice, and waited for by watches;
//   - output is events instead of text, errors name the object and the reason, no request outlives the
//     context, and what fails for the moment is tried again;
//   - plans can be kept and carried out exactly, and earlier deploys recalled.
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
