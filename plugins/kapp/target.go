package kapp

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"strake.dev/strake/internal/kube"
	"strake.dev/strake/schema"
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
		if t.cluster, err = s.fromSecret(ctx, job, *id.Cluster.KubeconfigSecretRef); err != nil {
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

func (s *step) fromSecret(ctx context.Context, job *stages.Job, ref schema.SecretKeyRef) (*kube.Cluster, error) {
	where := fmt.Sprintf("cluster.kubeconfigSecretRef: Secret %s", ref.Name)
	data, err := job.Objects.Secret(ctx, ref.Name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	kubeconfig, ok := data[ref.Key]
	if !ok {
		return nil, stages.WithHint(fmt.Errorf("%s has no key %q", where, ref.Key),
			"its keys: %s", strings.Join(slices.Sorted(maps.Keys(data)), ", "))
	}
	return s.cluster.WithKubeconfig(kubeconfig, fmt.Sprintf("Secret %s, key %s", ref.Name, ref.Key))
}
