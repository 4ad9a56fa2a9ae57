package kapp

import (
	"cmp"
	"context"

	"strake.dev/strake/internal/kube"
	"strake.dev/strake/stages"
)

// A target is where an app is deployed to and with which identity, by kapp-controller's rules.
type target struct {
	cluster *kube.Cluster
	// app is the name of the app, and of its record.
	app string
	// record is the namespace of the app's record.
	record string
	// objects is the namespace of those namespaced objects that name none.
	objects string
}

func (s *step) target(ctx context.Context, job *stages.Job) (target, error) {
	t := target{cluster: s.cluster, app: cmp.Or(job.App.Record, job.App.Name), record: job.App.Namespace, objects: job.App.Namespace}
	id := job.App.Identity
	var err error
	switch {
	case id.Cluster != nil:
		if t.cluster, err = s.cluster.FromSecret(ctx, job.Objects, *id.Cluster.KubeconfigSecretRef); err != nil {
			return target{}, err
		}
		// kapp-controller doesn't know the App's namespace to exist in the other cluster.
		t.record = cmp.Or(id.Cluster.Namespace, t.cluster.Namespace(), "default")
		t.objects = t.record
	case id.ServiceAccountName != "":
		if t.cluster, err = s.cluster.ServiceAccount(ctx, job.App.Namespace, id.ServiceAccountName); err != nil {
			return target{}, err
		}
	}
	t.objects = cmp.Or(id.DefaultNamespace, t.objects)
	return t, nil
}
