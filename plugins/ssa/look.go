package ssa

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	fluxssa "github.com/fluxcd/pkg/ssa"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"strake.dev/strake/internal/kube"
	"strake.dev/strake/internal/live"
	"strake.dev/strake/internal/manifest"
	"strake.dev/strake/stages"
)

// A view is all that a deploy knows before it writes.
type view struct {
	items []*item
	inv   *inventory
	proof *live.Proof
	// stale are the objects of the inventory that are no longer in the manifests and are to be deleted.
	stale []*doomed
	// lost are those that don't need to be: they are gone, or belong to somebody else by now.
	lost []id
	// recordLater means that the namespace of the inventory comes with the manifests.
	recordLater bool
}

// A doomed object is to be deleted.
type doomed struct {
	id   id
	ref  stages.ObjectRef
	kind live.Kind
	meta *live.Object
	// place is that among all objects that are deleted.
	place int
	// reason says why; empty means that it is no longer in the manifests.
	reason string
}

// each calls a function for 0 to n-1, several at a time. It returns one of the errors.
func (s *session) each(n int, f func(i int) error) error {
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i := range n {
		group.Go(func() error {
			if err := s.ctx.Err(); err != nil {
				return err
			}
			return f(i)
		})
	}
	return stopped(s.ctx, group.Wait())
}

// look finds out what there is to do. It writes nothing. All problems that it finds are one error.
func (s *session) look() (*view, error) {
	v := &view{}
	var err error
	if v.items, err = parse(cmp.Or(s.job.Rendered, "manifests"), s.job.Manifests); err != nil {
		return nil, err
	}
	if v.inv, err = s.inventory(); err != nil {
		return nil, err
	}
	if len(v.items) == 0 && len(v.inv.items) > 0 && s.config.Prune && !s.job.Limits.AllowEmpty {
		return nil, stages.WithHint(&stages.RefusedError{Reasons: []string{"the manifests hold no object: everything that is deployed would be deleted"}},
			"use “strake delete” for that, or allow it with --allow-empty")
	}
	found := &findings{places: manifest.Locate(s.job.Manifests), file: s.job.Rendered}
	if err := s.types(v.items, found); err != nil {
		return nil, err
	}
	// What has no type can't be looked at.
	known := slices.DeleteFunc(slices.Clone(v.items), func(i *item) bool { return i.kind == live.Kind{} && i.later == "" })
	sorted(known)
	for n, i := range known {
		i.place = n
	}
	if err := s.prepare(known); err != nil {
		return nil, err
	}
	sizes(known, found)
	v.proof = s.proof(v.inv)
	have, err := s.mine(v, known)
	if err != nil {
		return nil, err
	}
	if !s.same(v, known, have) {
		if v.recordLater, err = s.namespaces(known, found); err != nil {
			return nil, err
		}
	}
	if err := s.compare(v, known, have, found); err != nil {
		return nil, err
	}
	if s.outOfDate.CompareAndSwap(true, false) {
		s.mapper.Reset()
		return s.look()
	}
	if err := s.outdated(v, have); err != nil {
		return nil, err
	}
	if err := s.limits(v, found); err != nil {
		return nil, err
	}
	v.items = known
	return v, found.err()
}

// mine lists the metadata of the app's objects, by key.
func (s *session) mine(v *view, items []*item) (map[live.Key]live.Object, error) {
	kinds, namespaces := map[schema.GroupResource]live.Kind{}, map[string]bool{}
	for _, i := range items {
		if i.kind.Version != "" {
			kinds[i.kind.GroupResource()], namespaces[i.want.GetNamespace()] = i.kind, true
		}
	}
	for i, version := range v.inv.items {
		kind, err := s.kindOf(i, version)
		if err != nil {
			return nil, err
		}
		if _, ok := kinds[kind.GroupResource()]; !ok && kind.Version != "" {
			kinds[kind.GroupResource()] = kind
		}
		namespaces[i.namespace] = true
	}
	list, err := s.meta.List(s.ctx, slices.Collect(maps.Values(kinds)), s.own(), slices.Collect(maps.Keys(namespaces)))
	if err != nil {
		return nil, stopped(s.ctx, s.place.Cluster.Explain(err))
	}
	have := make(map[live.Key]live.Object, len(list))
	for _, o := range list {
		have[o.Key()] = o
	}
	return have, nil
}

// kindOf is the type of an object of the inventory, if need be in another version than it was applied
// in. It is empty if the server has no such type, so that there can't be such objects.
func (s *session) kindOf(i id, version string) (live.Kind, error) {
	kind, err := s.kind(i.WithVersion(version))
	if meta.IsNoMatchError(err) {
		kind, err = s.kind(i.WithVersion(""))
	}
	switch {
	case meta.IsNoMatchError(err):
		return live.Kind{}, nil
	case err != nil:
		return live.Kind{}, fmt.Errorf("types of the API server: %w", stopped(s.ctx, s.place.Cluster.Explain(err)))
	}
	return kind, nil
}

// same tells whether all objects are as the last deploy has left them, and wanted so.
func (s *session) same(v *view, items []*item, have map[live.Key]live.Object) bool {
	if v.proof == nil || v.proof.Len() != len(items) || len(v.inv.items) != len(items) {
		return false
	}
	for _, i := range items {
		if s.left(v, i, have) == nil {
			return false
		}
	}
	return true
}

// left returns the metadata of an object that is as the last deploy has left it, and wanted so.
func (s *session) left(v *view, i *item, have map[live.Key]live.Object) *live.Object {
	o, ok := have[i.key()]
	if !ok || v.proof == nil || !v.proof.Wanted(i.key(), i.digest) || v.proof.Compare(o) < live.Touched {
		return nil
	}
	return &o
}

// compare looks at each object that may have to be changed.
func (s *session) compare(v *view, items []*item, have map[live.Key]live.Object, found *findings) error {
	return s.each(len(items), func(n int) error {
		i := items[n]
		if i.later != "" {
			i.change = change{opCreate, i.later}
			return nil
		}
		if i.left = s.left(v, i, have); i.left != nil {
			i.change = change{op: opNone}
			i.ready = s.stillReady(v, i)
			return nil
		}
		if found.has(i) {
			return nil
		}
		_, exists := have[i.key()]
		err := s.lookAt(i, exists)
		if err != nil && s.ctx.Err() == nil {
			found.of(i, err)
			return nil
		}
		if i.live != nil && !s.config.TakeOver {
			if other := s.owner(i.live.GetLabels()); other != "" {
				found.of(i, stages.WithHint(fmt.Errorf("%s belongs to %s already", i.name(), other),
					"remove it from one of the two apps, or take it over: “takeOver: true”, --take-over"))
			}
		}
		return err
	})
}

// stillReady tells whether an object that is as it was left is known to be ready still. Only one whose status
// has changed needs a look.
func (s *session) stillReady(v *view, i *item) bool {
	if !s.config.Wait || !v.inv.record.Ready || v.proof.Compare(*i.left) == live.Same {
		return v.inv.record.Ready
	}
	o, err := s.dynamic.Resource(i.kind.GroupVersionResource).Namespace(i.want.GetNamespace()).Get(s.ctx, i.want.GetName(), metav1.GetOptions{})
	if err != nil {
		return false // the wait finds out why
	}
	result, err := status.Compute(o)
	return err == nil && result.Status == status.CurrentStatus
}

// lookAt compares an object with the cluster's. One that isn't among the app's own is only read if the
// server says that it is there, or doesn't say.
func (s *session) lookAt(i *item, mine bool) error {
	s.client.forget(i.id())
	sight := s.client.of(i.id())
	if mine {
		if err := s.read(i); err != nil {
			return err
		}
		keepLabels(i.want, sight.live)
	} else {
		sight.looked = true
	}
	options := fluxssa.DiffOptions{Force: s.config.Force, DriftIgnoreRules: s.config.ignoreRules()}
	entry, _, _, err := s.manager.Diff(s.ctx, i.want.DeepCopy(), options)
	if !mine && (sight.dry != nil && sight.dry.GetResourceVersion() != "" || sight.dryErr != nil) {
		sight.looked = false
		if unread := s.read(i); unread != nil {
			return cmp.Or(s.refused(i, "applied", sight.dryErr), unread)
		}
		entry, _, _, err = s.manager.Diff(s.ctx, i.want.DeepCopy(), options)
	}
	i.live, i.dry = sight.live, sight.dry
	switch {
	case err != nil && sight.dryErr != nil:
		if kube.Unserved(sight.dryErr) && !s.asked.Swap(true) {
			s.outOfDate.Store(true)
		}
		return s.refused(i, "applied", sight.dryErr)
	case err != nil:
		return fmt.Errorf("%s: %w", i.name(), err)
	}
	i.change = s.changeOf(i, entry.Action)
	return nil
}

// read reads an object, which may not be there.
func (s *session) read(i *item) error {
	o := i.want.DeepCopy()
	if err := s.client.Get(s.ctx, client.ObjectKeyFromObject(o), o); err != nil && !apierrors.IsNotFound(err) {
		return s.refused(i, "read", err)
	}
	return nil
}

// changeOf is what has to be done to an object of which the library has said what it would do.
func (s *session) changeOf(i *item, action fluxssa.Action) change {
	switch {
	case i.live == nil:
		return change{opCreate, "not in the cluster"}
	case i.live.GetDeletionTimestamp() != nil:
		return change{opUpdate, "made anew: it is being deleted"}
	case action == fluxssa.CreatedAction:
		return change{opUpdate, "made anew: a field was changed that can't be changed"}
	case action == fluxssa.ConfiguredAction && s.owner(i.live.GetLabels()) != "":
		return change{opUpdate, "taken over from " + s.owner(i.live.GetLabels())}
	case action == fluxssa.ConfiguredAction:
		return change{opUpdate, "differs from the cluster"}
	case s.foreign(i.live) != "":
		return change{opUpdate, "takes over the fields of " + s.foreign(i.live)}
	}
	return change{op: opNone}
}

// predecessors are the deployers whose fields become the app's own, so that fields that are dropped from
// the manifests go also if another tool has deployed the app before.
func (s *session) predecessors() []fluxssa.FieldManager {
	if s.config.Conflicts != forceConflicts {
		return nil
	}
	list := []fluxssa.FieldManager{
		{Name: "kubectl", OperationType: metav1.ManagedFieldsOperationApply},
		{Name: "kubectl", OperationType: metav1.ManagedFieldsOperationUpdate},
		{Name: "before-first-apply", OperationType: metav1.ManagedFieldsOperationUpdate},
	}
	for _, name := range []string{createdBy, defaultManager} {
		if name != s.config.FieldManager {
			list = append(list, fluxssa.FieldManager{Name: name, ExactMatch: true, OperationType: metav1.ManagedFieldsOperationApply})
		}
	}
	return list
}

// cleanup is what the library takes from predecessors.
func (s *session) cleanup() fluxssa.ApplyCleanupOptions {
	if s.config.Conflicts != forceConflicts {
		return fluxssa.ApplyCleanupOptions{}
	}
	return fluxssa.ApplyCleanupOptions{Annotations: []string{corev1.LastAppliedConfigAnnotation}, FieldManagers: s.predecessors()}
}

// foreign names a predecessor that still owns fields of an object; empty if there is none.
func (s *session) foreign(o *unstructured.Unstructured) string {
	for _, p := range s.predecessors() {
		for _, f := range o.GetManagedFields() {
			if f.Subresource == "" && f.Operation == p.OperationType && (f.Manager == p.Name || !p.ExactMatch && strings.HasPrefix(f.Manager, p.Name)) {
				return f.Manager
			}
		}
	}
	if _, ok := o.GetAnnotations()[corev1.LastAppliedConfigAnnotation]; ok && s.config.Conflicts == forceConflicts {
		return "kubectl"
	}
	return ""
}

// outdated finds what the inventory has and the manifests no longer have. Only objects that carry the
// app's mark are deleted, and none that is among the manifests under another group of its type.
func (s *session) outdated(v *view, have map[live.Key]live.Object) error {
	wanted, uids := map[id]bool{}, map[types.UID]bool{}
	for _, i := range v.items {
		wanted[i.id()] = true
		if i.live != nil {
			uids[i.live.GetUID()] = true
		}
		if i.left != nil {
			uids[i.left.UID] = true
		}
	}
	for _, i := range v.inv.ids() {
		if wanted[i] {
			continue
		}
		version := v.inv.items[i]
		kind, err := s.kindOf(i, version)
		if err != nil {
			return err
		}
		o, ok := have[live.Key{Group: kind.Group, Resource: kind.Resource, Namespace: i.namespace, Name: i.name}]
		switch {
		case !ok || uids[o.UID]:
			v.lost = append(v.lost, i)
		case s.config.Prune:
			v.stale = append(v.stale, &doomed{id: i, ref: i.ref(kind.Version), kind: kind, meta: &o})
		}
	}
	return nil
}
