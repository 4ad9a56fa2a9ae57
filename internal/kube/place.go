package kube

import (
	"cmp"
	"context"

	"strake.dev/strake/stages"
)

// A Place is where an app is deployed to and with which identity.
type Place struct {
	Cluster *Cluster
	// Record is the namespace of the app's record.
	Record string
	// Objects is the namespace of those namespaced objects that name none.
	Objects string
}

// Place finds out where an app goes, by kapp-controller's rules. c is the cluster to deploy to unless
// the app names another; objects finds the Secret of that one.
func (c *Cluster) Place(ctx context.Context, app stages.App, objects stages.Objects) (Place, error) {
	p := Place{Cluster: c, Record: app.Namespace, Objects: app.Namespace}
	var err error
	switch {
	case app.Cluster != nil:
		if p.Cluster, err = c.FromSecret(ctx, objects, *app.Cluster.KubeconfigSecretRef); err != nil {
			return Place{}, err
		}
		// kapp-controller doesn't know the App's namespace to exist in the other cluster.
		p.Record = cmp.Or(app.Cluster.Namespace, p.Cluster.Namespace(), "default")
		p.Objects = p.Record
	case app.ServiceAccountName != "":
		if p.Cluster, err = c.ServiceAccount(ctx, app.Namespace, app.ServiceAccountName); err != nil {
			return Place{}, err
		}
	}
	p.Objects = cmp.Or(app.DefaultNamespace, p.Objects)
	return p, nil
}
