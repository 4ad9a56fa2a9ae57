package ssa

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"strake.dev/strake/internal/kube"
	"strake.dev/strake/stages"
)

// apps lists the inventories of a namespace, or of all if that is empty.
func apps(ctx context.Context, cluster *kube.Cluster, namespace string) ([]stages.DeployedApp, error) {
	config, err := cluster.Config(ctx)
	if err != nil {
		return nil, err
	}
	core, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	all, err := inventories(ctx, core, namespace)
	if err != nil {
		return nil, fmt.Errorf("inventories: %w", stopped(ctx, cluster.Explain(err)))
	}
	found := make([]stages.DeployedApp, 0, len(all))
	for _, inv := range all {
		found = append(found, stages.DeployedApp{
			Name: strings.TrimPrefix(inv.stored.Name, inventoryPrefix), Namespace: inv.stored.Namespace, Plugin: "ssa",
			Objects: len(inv.items), Origin: inv.origin, Digest: inv.record.Digest, Applied: inv.applied,
			Outcome: inv.record.Outcome, By: cmp.Or(inv.record.By, inv.stored.Labels[createdByLabel]),
		})
	}
	return found, nil
}

// inventories reads those of a namespace, or of all if that is empty. What has the mark of an inventory
// and can't be read as one isn't one.
func inventories(ctx context.Context, core kubernetes.Interface, namespace string) ([]*inventory, error) {
	list, err := core.CoreV1().ConfigMaps(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector()})
	if err != nil {
		return nil, err
	}
	var all []*inventory
	for n := range list.Items {
		if inv, err := readInventory(&list.Items[n]); err == nil && strings.HasPrefix(list.Items[n].Name, inventoryPrefix) {
			all = append(all, inv)
		}
	}
	slices.SortFunc(all, func(a, b *inventory) int {
		return cmp.Or(cmp.Compare(a.stored.Namespace, b.stored.Namespace), cmp.Compare(a.stored.Name, b.stored.Name))
	})
	return all, nil
}
