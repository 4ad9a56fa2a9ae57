package ssa

import (
	"errors"
	"fmt"
	"sync"
	"time"

	fluxssa "github.com/fluxcd/pkg/ssa"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"strake.dev/strake/internal/kube"
)

// remake is how often the library looks whether an object that is made anew is gone.
const remake = 200 * time.Millisecond

// applyAll writes those of the objects that have to be, several at a time. A failure doesn't keep others
// from being written.
func (s *session) applyAll(items []*item) error {
	return s.all(len(items), func(n int) error { return s.apply(items[n]) })
}

// all calls f for each of n objects, some at a time, and returns all errors.
func (s *session) all(n int, f func(int) error) error {
	var (
		mu   sync.Mutex
		errs []error
	)
	err := s.each(n, func(i int) error {
		if err := f(i); err != nil && s.ctx.Err() == nil {
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return stopped(s.ctx, errors.Join(errs...))
}

// apply writes an object if that has to be.
func (s *session) apply(i *item) error {
	switch {
	case i.change.op == opNone:
		s.order.tell(i.place, s.unchanged(i))
		return nil
	case s.client.of(i.id()).written != nil:
		return nil
	}
	if i.live != nil && i.live.GetDeletionTimestamp() != nil {
		if err := s.waitFor([]*goal{{ref: refOf(i.want), kind: i.kind, uid: string(i.live.GetUID())}}); err != nil {
			return err
		}
		s.client.forget(i.id())
	}
	options := fluxssa.DefaultApplyOptions()
	options.Force, options.DriftIgnoreRules, options.WaitInterval = s.config.Force, s.config.ignoreRules(), remake
	options.Cleanup = s.cleanup()
	if i.live != nil && s.owner(i.live.GetLabels()) != "" {
		options.Cleanup.Labels = append(options.Cleanup.Labels, foreignLabels(i.live)...)
	}
	var set *fluxssa.ChangeSet
	// All types are known by now, and one that is new may be listed a moment before it is served.
	err := insist(s.ctx, kube.Unserved, func() (err error) {
		set, err = s.manager.ApplyAll(s.ctx, []*unstructured.Unstructured{i.want.DeepCopy()}, options)
		return cause(err)
	})
	if err != nil {
		return s.refused(i, "applied", err)
	}
	if len(set.Entries) == 1 && set.Entries[0].Action == fluxssa.UnchangedAction {
		// Only where it couldn't be tried out before.
		i.change = change{op: opNone}
		s.order.tell(i.place, s.unchanged(i))
		return nil
	}
	s.order.tell(i.place, i.told())
	return nil
}

// foreignLabels are those by which an app of kapp knows its objects: with them, kapp would delete what it
// no longer has.
func foreignLabels(o *unstructured.Unstructured) []string {
	var found []string
	for _, name := range []string{kappLabel, "kapp.k14s.io/association"} {
		if _, ok := o.GetLabels()[name]; ok {
			found = append(found, name)
		}
	}
	return found
}

// cause is the server's error in one of the library's.
func cause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// resolve finds the types that have come with the definitions.
func (s *session) resolve(items []*item) error {
	for _, i := range items {
		if i.kind.Version != "" {
			continue
		}
		var err error
		deadline := time.Now().Add(discoverTimeout)
		for {
			if i.kind, err = s.kind(i.want.GroupVersionKind()); err == nil || time.Now().After(deadline) || s.ctx.Err() != nil {
				break
			}
			s.mapper.Reset()
			pauseFor(s.ctx, remake)
		}
		if err != nil {
			return stopped(s.ctx, fmt.Errorf("%s: its definition was applied, and the API server doesn't know its type yet: %w", i.name(), err))
		}
	}
	return nil
}

// discoverTimeout is how long the API server may take to serve a type that it has established.
const discoverTimeout = 30 * time.Second
