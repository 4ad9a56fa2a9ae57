package ssa

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"strake.dev/strake/internal/live"
	"strake.dev/strake/internal/workload"
	"strake.dev/strake/stages"
)

// children are the types of which controllers make objects for an app.
var children = []schema.GroupVersionResource{
	{Group: "apps", Version: "v1", Resource: "replicasets"}, {Group: "batch", Version: "v1", Resource: "jobs"}, {Version: "v1", Resource: "pods"},
}

// inspect lists the objects of the app, and what the cluster's controllers have made for them.
func (s *session) inspect() ([]stages.Object, error) {
	inv, err := s.inventory()
	if err != nil {
		return nil, err
	}
	if inv.stored == nil {
		return nil, fmt.Errorf("%s: %w", s.describe(), stages.ErrNotDeployed)
	}
	var (
		ids   = inv.ids()
		mu    sync.Mutex
		found []stages.Object
		roots = map[string]bool{}
		// where are the namespaces of objects that have others made.
		where = map[string]bool{}
		proof *live.Proof
	)
	if inv.record.Proof != "" {
		// One that can't be read tells nothing, also not of drift.
		proof, _ = live.DecodeProof(inv.record.Proof)
	}
	err = s.each(len(ids), func(n int) error {
		i := ids[n]
		kind, err := s.kindOf(i, inv.items[i])
		if err != nil {
			return err
		}
		o := stages.Object{
			APIVersion: i.WithVersion(inv.items[i]).GroupVersion().String(), Kind: i.Kind, Namespace: i.namespace, Name: i.name,
			Owner: "ssa", State: "fail", Reason: "it isn't there",
		}
		if kind.Version != "" {
			live, err := s.dynamic.Resource(kind.GroupVersionResource).Namespace(i.namespace).Get(s.ctx, i.name, metav1.GetOptions{})
			switch {
			case apierrors.IsNotFound(err):
			case apierrors.IsForbidden(err):
				o.Reason = "it may not be read"
			case err != nil:
				return fmt.Errorf("%s: %w", i.ref(kind.Version), s.place.Cluster.Explain(err))
			default:
				o = inspected(live, "ssa")
				o.Drift = s.drift(inv, proof, objectOf(kind, live))
			}
		}
		mu.Lock()
		defer mu.Unlock()
		found = append(found, o)
		if o.UID != "" {
			roots[o.UID], where[i.namespace] = true, where[i.namespace] || i.Group == "apps" || i.Group == "batch"
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	found = append(found, s.childrenOf(roots, where)...)
	slices.SortFunc(found, func(a, b stages.Object) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return found, nil
}

// inspected describes an object.
func inspected(o *unstructured.Unstructured, owner string) stages.Object {
	out := stages.Object{
		APIVersion: o.GetAPIVersion(), Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName(), Owner: owner, State: "ok",
		Created: o.GetCreationTimestamp().UTC().Format(time.RFC3339), UID: string(o.GetUID()), Images: workload.Images(o.Object),
	}
	result, err := status.Compute(o.DeepCopy())
	switch {
	case err != nil:
		out.State, out.Reason = "fail", err.Error()
	case result.Status == status.FailedStatus:
		out.State, out.Reason = "fail", result.Message
	case result.Status != status.CurrentStatus:
		out.State, out.Reason = "ongoing", result.Message
	}
	return out
}

// childrenOf lists what was made for objects, as far as it may be seen.
func (s *session) childrenOf(roots, namespaces map[string]bool) []stages.Object {
	var found []stages.Object
	for ns, has := range namespaces {
		if !has {
			continue
		}
		for _, resource := range children {
			list, err := s.dynamic.Resource(resource).Namespace(ns).List(s.ctx, metav1.ListOptions{})
			if err != nil {
				continue
			}
			for n := range list.Items {
				o := &list.Items[n]
				owner := metav1.GetControllerOf(o)
				if owner == nil || !roots[string(owner.UID)] || empty(o) || roots[string(o.GetUID())] {
					continue
				}
				roots[string(o.GetUID())] = true
				child := inspected(o, "cluster")
				child.Parent = string(owner.UID)
				found = append(found, child)
			}
		}
	}
	return found
}

// empty tells whether an object is a ReplicaSet that is only kept for history.
func empty(o *unstructured.Unstructured) bool {
	n, _, _ := unstructured.NestedInt64(o.Object, "spec", "replicas")
	return o.GetKind() == "ReplicaSet" && n == 0
}

// drift says who has changed an object since it was deployed.
func (s *session) drift(inv *inventory, proof *live.Proof, o live.Object) string {
	if proof == nil || proof.Compare(o) != live.Changed {
		return ""
	}
	var last *metav1.ManagedFieldsEntry
	for n := range o.ManagedFields {
		f := &o.ManagedFields[n]
		if f.Subresource == "status" || f.Manager == s.config.FieldManager || f.Time == nil || f.Time.Time.Before(inv.wrote()) {
			continue
		}
		if last == nil || f.Time.After(last.Time.Time) {
			last = f
		}
	}
	if last == nil {
		return "changed since it was deployed"
	}
	return fmt.Sprintf("changed by %s at %s", last.Manager, last.Time.UTC().Format(time.RFC3339))
}
