// Package ssa is the deploy plugin on server-side apply, through Flux' library: it applies manifests,
// waits for them, prunes what is no longer in them, and remembers what it has applied in an inventory.
//
// The inventory is Kustomizer's, so that strake and the kustomizer command can take over an app from
// each other at any time. What is added: the inventory holds what was and what comes before the first
// object is touched, so that nothing is ever forgotten; everything that can be known to fail is found
// before that; objects are looked at and written in parallel, and waited for by watches; and that
// there is nothing to do costs a few requests, whatever the number of objects.
package ssa

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

// Plugin returns the plugin that entries “deploy: [{ssa: …}]” name.
func Plugin(deps Deps) stages.Plugin {
	return stages.Define(stages.Plugin{
		Stage:   stages.Deploy,
		Name:    "ssa",
		Doc:     "Applies the manifests to a Kubernetes cluster by server-side apply, waits for them, and deletes what is no longer in them.",
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
	_ stages.Saver     = (*step)(nil)
	_ stages.Deleter   = (*step)(nil)
	_ stages.Inspector = (*step)(nil)
)

// Run makes the cluster be as the manifests say, and waits until it is.
func (s *step) Run(ctx context.Context, job *stages.Job) (stages.Result, error) {
	ses, err := s.begin(ctx, job)
	if err != nil {
		return stages.Result{}, err
	}
	defer ses.end()
	return ses.deploy(nil)
}

// Plan tells what Run would change. It writes nothing to the cluster.
func (s *step) Plan(ctx context.Context, job *stages.Job) (stages.Result, []stages.Change, error) {
	ses, err := s.begin(ctx, job)
	if err != nil {
		return stages.Result{}, nil, err
	}
	defer ses.end()
	changes, err := ses.plan()
	return stages.Result{}, changes, err
}

// Save is Plan with all that it takes to carry it out.
func (s *step) Save(ctx context.Context, job *stages.Job) (*stages.Saved, error) {
	ses, err := s.begin(ctx, job)
	if err != nil {
		return nil, err
	}
	defer ses.end()
	return ses.save()
}

// Apply carries out a saved plan, or nothing.
func (s *step) Apply(ctx context.Context, job *stages.Job, saved *stages.Saved) (stages.Result, error) {
	ses, err := s.begin(ctx, job)
	if err != nil {
		return stages.Result{}, err
	}
	defer ses.end()
	return ses.deploy(saved)
}

// Delete removes the app's objects and its inventory.
func (s *step) Delete(ctx context.Context, job *stages.Job) error {
	if job.App.NoopDelete {
		stages.Log(job.Events, "noopDelete is set: the deployed objects and their inventory are left alone")
		return nil
	}
	ses, err := s.begin(ctx, job)
	if err != nil {
		return err
	}
	defer ses.end()
	return ses.delete()
}

// Inspect lists the objects of the app that the cluster has.
func (s *step) Inspect(ctx context.Context, job *stages.Job) ([]stages.Object, error) {
	ses, err := s.begin(ctx, job)
	if err != nil {
		return nil, err
	}
	defer ses.end()
	return ses.inspect()
}

// Check makes sure that the API server answers, that the identity to deploy with exists and is accepted,
// and that it may read the app's inventory. It only reads, by one request, apart from the token that a
// service account needs.
func (s *step) Check(ctx context.Context, job *stages.Job) error {
	var place kube.Place
	err := s.cluster.Answers(ctx, func(ctx context.Context) (err error) {
		place, err = s.cluster.Place(ctx, job.App, job.Objects)
		return err
	})
	if err != nil {
		return err
	}
	return place.Cluster.Answers(ctx, func(ctx context.Context) error {
		ses, err := s.begin(ctx, job)
		if err != nil {
			return err
		}
		defer ses.end()
		_, err = ses.inventory()
		return err
	})
}
