package kapp

import (
	"cmp"
	"context"

	"strake.dev/strake/internal/kube"
	"strake.dev/strake/stages"
)

// A target is where an app is deployed to and with which identity.
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
	p, err := s.cluster.Place(ctx, job.App, job.Objects)
	if err != nil {
		return target{}, err
	}
	return target{cluster: p.Cluster, app: cmp.Or(job.App.Record, job.App.Name), record: p.Record, objects: p.Objects}, nil
}
