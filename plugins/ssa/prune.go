package ssa

import (
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"strake.dev/strake/stages"
)

// deleteAll deletes objects, those of the highest rank first, and waits until they are gone if waiting
// is wanted. Objects of a rank that others reconcile are waited for before these are deleted.
func (s *session) deleteAll(objects []*doomed) error {
	order := newSequence(s.job.Events, len(objects))
	defer order.flush()
	for n, d := range objects {
		d.place = len(objects) - 1 - n
	}
	split := byRank(objects, func(d *doomed) id { return d.id })
	for r, list := range slices.Backward(split[:]) {
		if err := s.all(len(list), func(n int) error { return s.deleteOne(list[n], order) }); err != nil {
			return err
		}
		if !s.config.Wait && r != rankCustom {
			continue
		}
		var goals []*goal
		for _, d := range list {
			goals = append(goals, &goal{ref: d.ref, kind: d.kind, uid: string(d.meta.UID)})
		}
		if err := s.waitFor(goals); err != nil {
			return err
		}
	}
	return nil
}

// deleteOne deletes an object unless another has taken its place, or somebody else has taken it over.
func (s *session) deleteOne(d *doomed, order *sequence) error {
	api := s.dynamic.Resource(d.kind.GroupVersionResource).Namespace(d.id.namespace)
	background := metav1.DeletePropagationBackground
	uid, version := d.meta.UID, d.meta.ResourceVersion
	var err error
	for {
		options := metav1.DeleteOptions{PropagationPolicy: &background, Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version}}
		err = api.Delete(s.ctx, d.id.name, options)
		if !apierrors.IsConflict(err) {
			break
		}
		now, getErr := api.Get(s.ctx, d.id.name, metav1.GetOptions{})
		if apierrors.IsNotFound(getErr) || getErr == nil && (now.GetUID() != uid || !s.own().Matches(labels.Set(now.GetLabels()))) {
			order.tell(d.place, stages.Change{})
			return nil
		}
		if getErr != nil {
			return fmt.Errorf("%s can't be deleted: %w", d.ref, s.place.Cluster.Explain(getErr))
		}
		version = now.GetResourceVersion()
	}
	switch {
	case apierrors.IsNotFound(err):
		order.tell(d.place, stages.Change{})
		return nil
	case apierrors.IsForbidden(err):
		return stages.WithHint(fmt.Errorf("%s can't be deleted: %w", d.ref, err), "%s", hintForbidden)
	case err != nil:
		return fmt.Errorf("%s can't be deleted: %w", d.ref, s.place.Cluster.Explain(err))
	}
	order.tell(d.place, d.told())
	return nil
}

// delete removes the app's objects, then its inventory.
func (s *session) delete() error {
	inv, err := s.inventory()
	if err != nil {
		return err
	}
	if inv.stored == nil {
		stages.Log(s.job.Events, s.describe()+" is not there: nothing to delete")
		return nil
	}
	locked, err := s.lock(&view{})
	if err != nil {
		return err
	}
	defer locked.release()
	if inv, err = s.inventory(); err != nil || inv.stored == nil {
		return err
	}
	v := &view{inv: inv}
	have, err := s.mine(v, nil)
	if err != nil {
		return err
	}
	s.config.Prune = true
	if err := s.outdated(v, have); err != nil {
		return err
	}
	found := &findings{}
	if err := s.inhabited(v.stale, found); err != nil {
		return err
	}
	if err := found.err(); err != nil {
		return err
	}
	for n := range v.stale {
		v.stale[n].reason = "the app is deleted"
	}
	if err := s.deleteAll(v.stale); err != nil {
		return err
	}
	uid := inv.stored.UID
	err = s.core.CoreV1().ConfigMaps(s.place.Record).Delete(s.ctx, inv.stored.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("inventory of the app: %w", stopped(s.ctx, s.place.Cluster.Explain(err)))
	}
	return nil
}
