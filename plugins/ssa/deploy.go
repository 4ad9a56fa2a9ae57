package ssa

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"strake.dev/strake/internal/lease"
	"strake.dev/strake/internal/revisions"
	"strake.dev/strake/internal/workload"
	"strake.dev/strake/stages"
)

// deploy finds out what there is to do, and does it; with a saved plan, exactly that or nothing.
func (s *session) deploy(saved *stages.Saved) (stages.Result, error) {
	v, err := s.look()
	if err != nil {
		return stages.Result{}, err
	}
	if saved == nil && s.settled(v) {
		return s.skipped(v), nil
	}
	locked, err := s.lock(v)
	if err != nil {
		return stages.Result{}, err
	}
	defer locked.release()
	for again := false; ; again = true {
		if locked.waited || again {
			// Another deployer has written meanwhile.
			if v, err = s.look(); err != nil {
				return stages.Result{}, err
			}
		}
		if saved != nil {
			if err := s.agree(v, saved); err != nil {
				return stages.Result{}, err
			}
		}
		if !v.writes() {
			return s.skipped(v), s.confirm(v)
		}
		inv, err := s.reserve(v)
		switch {
		case err == nil:
			return stages.Result{}, s.carryOut(v, inv, locked.client)
		case again || !errors.Is(err, errRewritten):
			return stages.Result{}, err
		}
	}
}

func (s *session) skipped(v *view) stages.Result {
	s.nothing(v)
	return stages.Result{Skipped: fmt.Sprintf("nothing to apply: %s up to date", count(len(v.items), "object is", "objects are"))}
}

// settled tells whether there is nothing to do, and nothing to be written down either.
func (s *session) settled(v *view) bool {
	if v.writes() || len(v.items) > 0 && (v.inv.record.Outcome != revisions.Succeeded || !v.allLeft()) {
		return false
	}
	return v.inv.stored == nil || v.inv.origin.Equal(s.job.Origin) && (!s.config.Wait || len(goalsOf(v.items)) == 0)
}

// allLeft tells whether all objects are known to be as the last deploy has left them.
func (v *view) allLeft() bool {
	return v.proof != nil && !slices.ContainsFunc(v.items, func(i *item) bool { return i.left == nil })
}

// confirm waits for objects that are as they should be but were not known to be ready, and records that
// they are.
func (s *session) confirm(v *view) error {
	if err := s.waitReady(v.items); err != nil {
		return err
	}
	return s.conclude(v, v.inv)
}

// reserve stores an inventory of all that was deployed and of all that is about to be, before anything
// is touched.
func (s *session) reserve(v *view) (*inventory, error) {
	s.order = newSequence(s.job.Events, len(v.items))
	if v.recordLater {
		if err := s.makeNamespace(v); err != nil {
			return nil, err
		}
	}
	inv := s.union(v)
	return inv, s.write(inv)
}

// carryOut makes the writes, and records how that ended. Whatever happens, the inventory has all that was
// and all that may have come.
func (s *session) carryOut(v *view, inv *inventory, records kubernetes.Interface) error {
	history, number := s.history(records, inv), 0
	var err error
	if len(v.changed())+len(v.stale) > 0 {
		if number, err = history.Begin(s.ctx, s.revision(v), s.job.Manifests); err != nil {
			stages.Warn(s.job.Events, "this deploy can't be gone back to later: "+err.Error())
		}
	}
	err = s.makeChanges(v)
	if err == nil {
		err = s.conclude(v, inv)
	}
	outcome := revisions.Succeeded
	switch {
	case err != nil && s.ctx.Err() != nil:
		outcome = revisions.Unfinished
	case err != nil:
		outcome = revisions.Failed
		inv.record.Outcome = outcome
		if err := s.write(inv); err != nil {
			stages.Warn(s.job.Events, err.Error())
		}
	}
	if number > 0 {
		if err := history.Finish(s.ctx, number, outcome, ""); err != nil {
			stages.Warn(s.job.Events, err.Error())
		}
	}
	return err
}

// union is an inventory of all that was deployed and of all that is about to be.
func (s *session) union(v *view) *inventory {
	inv := &inventory{
		items: maps.Clone(v.inv.items), stored: v.inv.stored, origin: s.job.Origin,
		record: record{By: s.job.Version, Digest: s.job.Manifests.Digest(), Outcome: revisions.Unfinished},
	}
	for _, i := range v.items {
		inv.items[i.id()] = i.want.GroupVersionKind().Version
	}
	return inv
}

// makeChanges writes, prunes and waits.
func (s *session) makeChanges(v *view) error {
	err := s.applyRanks(v)
	s.order.flush()
	if err != nil {
		return err
	}
	if err := s.deleteAll(v.stale); err != nil {
		return err
	}
	return s.waitReady(v.items)
}

// applyRanks writes the objects of one rank after the other.
func (s *session) applyRanks(v *view) error {
	for r, list := range byRank(v.items, (*item).id) {
		if err := s.applyAll(list); err != nil {
			return err
		}
		if r == rankDefinitions {
			if err := s.waitUsable(list); err != nil {
				return err
			}
			if err := s.resolve(v.items); err != nil {
				return err
			}
		}
	}
	return nil
}

// conclude narrows the inventory to what is there now, and records that all is as it should be.
func (s *session) conclude(v *view, inv *inventory) error {
	kept := map[id]bool{}
	for _, i := range v.items {
		kept[i.id()] = true
	}
	narrow := &inventory{items: maps.Clone(inv.items), stored: inv.stored, origin: s.job.Origin, record: inv.record}
	for i := range narrow.items {
		gone := slices.Contains(v.lost, i) || slices.ContainsFunc(v.stale, func(d *doomed) bool { return d.id == i })
		if !kept[i] && gone {
			delete(narrow.items, i)
		}
	}
	narrow.record = record{By: s.job.Version, Digest: s.job.Manifests.Digest(), Outcome: revisions.Succeeded, Ready: s.config.Wait}
	var err error
	if narrow.record.Proof, err = s.prove(v, inv.wrote()); err != nil {
		return err
	}
	return s.write(narrow)
}

// makeNamespace makes the namespace of the inventory, which comes with the manifests or is to be made: the
// inventory has to be there before the first object, and can't be before its namespace.
func (s *session) makeNamespace(v *view) error {
	n := slices.IndexFunc(v.items, func(i *item) bool { return isNamespace(i.want) && i.want.GetName() == s.place.Record })
	if n < 0 {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.place.Record}}
		_, err := s.core.CoreV1().Namespaces().Create(s.ctx, ns, metav1.CreateOptions{FieldManager: s.config.FieldManager})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("namespace %s of the inventory: %w", s.place.Record, stopped(s.ctx, s.place.Cluster.Explain(err)))
		}
		stages.Log(s.job.Events, "namespace "+s.place.Record+" was made for the inventory")
		return nil
	}
	if err := s.applyAll(v.items[n : n+1]); err != nil {
		return err
	}
	return s.waitUsable(v.items[n : n+1])
}

// A lock is held while an app is written to.
type lock struct {
	*lease.Lease
	session *session
	// client isn't bound to the end of the run, which is recorded too.
	client kubernetes.Interface
	// waited means that somebody else has had it meanwhile.
	waited bool
}

// lock keeps other deployers from the app. If it is lost, all requests end.
func (s *session) lock(v *view) (*lock, error) {
	config, err := s.place.Cluster.Config(context.WithoutCancel(s.ctx))
	if err != nil {
		return nil, err
	}
	config.Wrap(patient)
	l := &lock{session: s}
	if l.client, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	if v.recordLater {
		return l, nil // its namespace isn't there yet, so that nobody else can have deployed the app
	}
	l.Lease, err = lease.Acquire(s.ctx, l.client, lease.Options{
		Namespace: s.place.Record, Name: inventoryPrefix + s.app, App: s.describe(), Identity: lease.Identity(),
		Waiting: func(held *stages.HeldError) {
			l.waited = true
			stages.Log(s.job.Events, "waiting: "+held.Error())
		},
		Warn: func(message string) { stages.Warn(s.job.Events, message) },
	})
	if err != nil {
		return nil, stopped(s.ctx, err)
	}
	go func() {
		select {
		case <-l.Lost():
			s.cancel(lease.ErrLost)
		case <-s.ctx.Done():
		}
	}()
	return l, nil
}

// release gives the lock up, also when the run has ended.
func (l *lock) release() {
	if l.Lease == nil {
		return
	}
	if err := l.Release(l.session.ctx); err != nil {
		stages.Warn(l.session.job.Events, err.Error())
	}
}

// history records deploys beside the inventory, with which the records go.
func (s *session) history(client kubernetes.Interface, inv *inventory) *revisions.Store {
	h := &revisions.Store{Client: client, Namespace: s.place.Record, App: s.app, Plugin: "ssa"}
	if m := inv.stored; m != nil {
		h.Owner = &metav1.OwnerReference{APIVersion: corev1.SchemeGroupVersion.String(), Kind: "ConfigMap", Name: m.Name, UID: m.UID}
	}
	return h
}

// revision describes the deploy for its record.
func (s *session) revision(v *view) stages.Revision {
	var images []string
	for _, i := range v.items {
		images = append(images, workload.Images(i.want.Object)...)
	}
	slices.Sort(images)
	ops := map[string]int{opDelete: len(v.stale)}
	for _, i := range v.changed() {
		ops[i.change.op]++
	}
	return stages.Revision{
		Origin: s.job.Origin, Objects: len(v.items), Images: slices.Compact(images), By: s.job.Version,
		Message: fmt.Sprintf("%d created, %d updated, %d deleted", ops[opCreate], ops[opUpdate], ops[opDelete]),
	}
}
