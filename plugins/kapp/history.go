package kapp

import (
	"context"
	"fmt"
	"strings"
	"time"

	ctlapp "carvel.dev/kapp/pkg/kapp/app"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"strake.dev/strake/internal/kube"
	"strake.dev/strake/internal/revisions"
	"strake.dev/strake/internal/workload"
	"strake.dev/strake/stages"
)

// revisions is the history of the app; rec, its record, takes the history with it when it goes.
func (s *session) revisions(rec *record) *revisions.Store {
	store := &revisions.Store{Client: s.lasting, Namespace: s.target.record, App: s.target.app, Plugin: "kapp"}
	if rec != nil {
		store.Owner = &metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: rec.config.Name, UID: rec.config.UID}
	}
	return store
}

// recorded calls f between the beginning and the end of an entry of the history. That there can't be one
// keeps nobody from deploying.
func (d *rollout) recorded(f func() error) error {
	s := d.s
	rec, err := s.readRecord(s.target.app)
	if err != nil {
		return err
	}
	store := s.revisions(rec)
	number, err := store.Begin(s.ctx, stages.Revision{
		Origin: s.job.Origin, Objects: len(d.want.resources), Images: d.images(), By: s.job.Version, Message: d.set.told(),
	}, s.job.Manifests)
	switch {
	case s.ctx.Err() != nil:
		return context.Cause(s.ctx)
	case apierrors.IsForbidden(err):
		stages.Log(s.events, "no history is kept: the deploying identity may not list and create secrets in namespace "+s.target.record)
		return f()
	case err != nil:
		stages.Warn(s.events, fmt.Sprintf("no history is kept of this deploy: %v", err))
		return f()
	}
	outcome, err := revisions.Succeeded, f()
	if err != nil {
		outcome = revisions.Failed
	}
	if e := store.Finish(s.ctx, number, outcome, ""); e != nil && !apierrors.IsForbidden(e) {
		stages.Warn(s.events, e.Error())
	}
	return err
}

// images are those of the manifests.
func (d *rollout) images() []string {
	var all []string
	seen := map[string]bool{}
	for _, r := range d.want.resources {
		for _, image := range workload.Images(r.UnstructuredObject()) {
			if !seen[image] {
				seen[image] = true
				all = append(all, image)
			}
		}
	}
	return all
}

// History lists the recorded deploys of the app, the latest first.
func (s *step) History(ctx context.Context, job *stages.Job) ([]stages.Revision, error) {
	ses, err := s.begin(ctx, job, inspectOptions, nil)
	if err != nil {
		return nil, err
	}
	rec, _, err := ses.deployed()
	if err != nil {
		return nil, err
	}
	if rec == nil {
		return nil, fmt.Errorf("app %s in namespace %s: %w", ses.target.app, ses.target.record, stages.ErrNotDeployed)
	}
	return ses.revisions(rec).List(ctx)
}

// Recall returns the manifests of a recorded deploy.
func (s *step) Recall(ctx context.Context, job *stages.Job, number int) (stages.Manifests, error) {
	ses, err := s.begin(ctx, job, inspectOptions, nil)
	if err != nil {
		return nil, err
	}
	return ses.revisions(nil).Recall(ctx, number)
}

// apps lists the apps that kapp, or strake with it, has deployed to a cluster.
func apps(ctx context.Context, cluster *kube.Cluster, namespace string) ([]stages.DeployedApp, error) {
	config, err := cluster.Config(ctx)
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	list, err := client.CoreV1().ConfigMaps(namespace).List(ctx, metav1.ListOptions{LabelSelector: ctlapp.KappIsAppLabelKey})
	if err != nil {
		return nil, fmt.Errorf("records of kapp's apps: %w", cluster.Explain(err))
	}
	var found []stages.DeployedApp
	for i := range list.Items {
		r, err := newRecord(&list.Items[i])
		if err != nil {
			continue // an object that only has the label
		}
		found = append(found, r.app())
	}
	return found, nil
}

// app describes the app of a record.
func (r *record) app() stages.DeployedApp {
	a := stages.DeployedApp{
		Name: strings.TrimSuffix(r.config.Name, ctlapp.AppSuffix), Namespace: r.config.Namespace,
		Plugin: "kapp", Objects: -1, Applied: r.meta.LastChange.StartedAt, By: "kapp",
	}
	switch ok := r.meta.LastChange.Successful; {
	case r.meta.LastChange.StartedAt.IsZero():
		a.Applied = time.Time{}
	case ok == nil:
		a.Outcome = revisions.Unfinished
	case *ok:
		a.Outcome, a.Applied = revisions.Succeeded, r.meta.LastChange.FinishedAt
	default:
		a.Outcome = revisions.Failed
	}
	if n := r.note; n != nil {
		a.Objects, a.Origin, a.Digest, a.By = n.Objects, n.Origin, n.Digest, n.By
	}
	return a
}
