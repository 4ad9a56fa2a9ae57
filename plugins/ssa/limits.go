package ssa

import (
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"strake.dev/strake/internal/access"
	"strake.dev/strake/stages"
)

// limits finds reasons not to do what is to be done: rights that are missing, more that would be deleted
// than was asked for, and what others have in namespaces or of types that would be deleted.
func (s *session) limits(v *view, found *findings) error {
	if !v.writes() {
		return nil
	}
	if !s.job.Limits.AllowEmpty || len(v.items) > 0 {
		if err := s.job.Limits.Prune(len(v.stale), len(v.inv.items)); err != nil {
			return err
		}
	}
	if err := s.inhabited(v.stale, found); err != nil {
		return err
	}
	missing, err := access.Missing(s.ctx, s.core, s.needs(v))
	if err != nil {
		return stopped(s.ctx, s.place.Cluster.Explain(err))
	}
	for _, n := range missing {
		found.add("whoever deploys needs the rights that are named, by a Role or ClusterRole and its binding", fmt.Errorf("no right to %s", n))
	}
	return nil
}

// writes tells whether there is anything to do.
func (v *view) writes() bool {
	return len(v.stale) > 0 || len(v.changed()) > 0 || v.inventoryDiffers()
}

func (v *view) changed() []*item {
	return slices.DeleteFunc(slices.Clone(v.items), func(i *item) bool { return i.change.op == opNone })
}

// inventoryDiffers tells whether the inventory isn't that of the manifests.
func (v *view) inventoryDiffers() bool {
	for _, i := range v.items {
		if version, ok := v.inv.items[i.id()]; !ok || version != i.want.GroupVersionKind().Version {
			return true
		}
	}
	return len(v.lost) > 0 || v.inv.stored == nil && len(v.items) > 0
}

// needs are the rights that trying out the writes hasn't shown already.
func (s *session) needs(v *view) []access.Need {
	verb := "update"
	if v.inv.stored == nil {
		verb = "create"
	}
	need := []access.Need{{Verb: verb, Resource: "configmaps", Namespace: s.place.Record}}
	add := func(n access.Need) {
		if !slices.Contains(need, n) {
			need = append(need, n)
		}
	}
	for _, d := range v.stale {
		add(access.Need{Verb: "delete", Group: d.kind.Group, Resource: d.kind.Resource, Namespace: d.id.namespace, Name: d.id.name})
	}
	for _, i := range v.items {
		if i.later == "" || i.kind.Version == "" {
			continue
		}
		for _, verb := range []string{"create", "patch"} {
			add(access.Need{Verb: verb, Group: i.kind.Group, Resource: i.kind.Resource, Namespace: i.want.GetNamespace()})
		}
	}
	return need
}

// inhabited finds namespaces and types that are to be deleted and of which other inventories have
// objects, which would go with them.
func (s *session) inhabited(stale []*doomed, found *findings) error {
	if !slices.ContainsFunc(stale, func(d *doomed) bool { return d.id.Kind == "Namespace" || d.id.Kind == "CustomResourceDefinition" }) {
		return nil
	}
	others, err := s.others()
	if err != nil {
		return err
	}
	for _, d := range stale {
		uses := func(id) bool { return false }
		switch {
		case d.id.Kind == "Namespace" && d.id.Group == "":
			uses = func(i id) bool { return i.namespace == d.id.name }
		case d.id.Kind == "CustomResourceDefinition":
			crd, err := s.dynamic.Resource(d.kind.GroupVersionResource).Get(s.ctx, d.id.name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				continue
			}
			if err != nil {
				return fmt.Errorf("%s: %w", d.ref, stopped(s.ctx, s.place.Cluster.Explain(err)))
			}
			group, _, _ := unstructured.NestedString(crd.Object, "spec", "group")
			kind, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "kind")
			uses = func(i id) bool { return i.Group == group && i.Kind == kind }
		}
		for _, o := range others {
			if slices.ContainsFunc(o.ids(), uses) || d.id.Kind == "Namespace" && o.stored.Namespace == d.id.name {
				found.add("keep it in the manifests, or delete the other app first", fmt.Errorf(
					"%s would be deleted, as it is no longer in the manifests, and with it what inventory %s in namespace %s has there",
					d.ref, strings.TrimPrefix(o.stored.Name, inventoryPrefix), o.stored.Namespace))
			}
		}
	}
	return nil
}

// others are the other inventories of the cluster, as far as they may be seen.
func (s *session) others() ([]*inventory, error) {
	all, err := inventories(s.ctx, s.core, "")
	if apierrors.IsForbidden(err) {
		all, err = inventories(s.ctx, s.core, s.place.Record)
	}
	if err != nil {
		return nil, stopped(s.ctx, s.place.Cluster.Explain(err))
	}
	return slices.DeleteFunc(all, func(i *inventory) bool {
		return i.stored.Namespace == s.place.Record && i.stored.Name == inventoryPrefix+s.app
	}), nil
}

// selector finds inventories, whoever has written them.
func selector() string {
	return labels.Set{componentLabel: component, createdByLabel: createdBy}.String()
}

// refusedPlan is the error of a saved plan that no longer fits.
func refusedPlan(reasons []string) error {
	slices.Sort(reasons)
	return stages.WithHint(&stages.RefusedError{Reasons: slices.Compact(reasons)}, "make a new plan, look at it, and apply that")
}
