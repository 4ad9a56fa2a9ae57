package kapp

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	ctlapp "carvel.dev/kapp/pkg/kapp/app"
	ctlres "carvel.dev/kapp/pkg/kapp/resources"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// unlabelled finds those of the objects that are there without the app's label.
func (s *session) unlabelled(candidates []ctlres.Resource, found *findings) ([]ctlres.Resource, error) {
	type place struct {
		schema.GroupVersionResource
		namespace string
	}
	groups := map[place][]ctlres.Resource{}
	for _, r := range candidates {
		t, err := s.clients.types.Find(r)
		if isUnknownType(err) {
			continue // of a type that comes with the manifests
		}
		if err != nil {
			return nil, s.explain(err)
		}
		p := place{t.GroupVersionResource, r.Namespace()}
		groups[p] = append(groups[p], r)
	}
	var (
		mu   sync.Mutex
		read []ctlres.Resource
	)
	group, ctx := errgroup.WithContext(s.ctx)
	group.SetLimit(requestsAtOnce)
	for p, some := range groups {
		group.Go(func() error {
			there, err := s.present(ctx, p.GroupVersionResource, p.namespace, some)
			if err != nil {
				return err
			}
			for _, r := range there {
				object, ok, err := s.objects.Exists(r, ctlres.ExistsOpts{})
				mu.Lock()
				if apierrors.IsForbidden(err) {
					found.add(r, hintForbidden, "can't be read: the deploying identity has no right to get %s in namespace %s", p.GroupResource(), p.namespace)
					err = nil
				}
				if ok {
					read = append(read, object)
				}
				mu.Unlock()
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := group.Wait()
	return read, s.explain(err)
}

// present leaves out objects that aren't there, where one list of names tells that of many.
func (s *session) present(ctx context.Context, gvr schema.GroupVersionResource, namespace string, some []ctlres.Resource) ([]ctlres.Resource, error) {
	if len(some) == 1 {
		return some, nil
	}
	names, whole, err := s.clients.meta.Names(ctx, gvr, namespace)
	if err != nil || !whole {
		return some, stopped(ctx, nil)
	}
	return slices.DeleteFunc(slices.Clone(some), func(r ctlres.Resource) bool { return !names[r.Name()] }), nil
}

// ownership finds objects that belong to another app, or that are the record of one.
func (s *session) ownership(meta ctlapp.Meta, others []ctlres.Resource, wanted map[string]ctlres.Resource, found *findings) {
	f := s.flags.deploy.DeployFlags
	for _, r := range others {
		want := wanted[keyOf(r)].Annotations()
		if _, record := r.Labels()[ctlapp.KappIsAppLabelKey]; record {
			found.add(wanted[keyOf(r)], "give the object or that app another name", "is kapp's record of an app")
			continue
		}
		_, exists := want[ctlres.ExistsAnnKey]
		_, noop := want[ctlres.NoopAnnKey]
		label, owned := r.Labels()[meta.LabelKey]
		if !owned || label == meta.LabelValue || exists || noop || f.OverrideOwnershipOfExistingResources {
			continue
		}
		found.add(wanted[keyOf(r)],
			"remove it from one of the two apps, or take it over with the raw option --dangerous-override-ownership-of-existing-resources=true",
			"belongs to %s already", s.owner(meta.LabelKey, label))
	}
}

// owner names the app that has a label.
func (s *session) owner(key, value string) string {
	list, err := s.clients.core.CoreV1().ConfigMaps("").List(s.ctx, metav1.ListOptions{LabelSelector: ctlapp.KappIsAppLabelKey})
	if err != nil {
		list, err = s.clients.core.CoreV1().ConfigMaps(s.target.record).List(s.ctx, metav1.ListOptions{LabelSelector: ctlapp.KappIsAppLabelKey})
	}
	if err == nil {
		for _, c := range list.Items {
			if m, err := ctlapp.NewAppMetaFromData(c.Data); err == nil && m.LabelKey == key && m.LabelValue == value {
				return fmt.Sprintf("the app %s in namespace %s", strings.TrimSuffix(c.Name, ctlapp.AppSuffix), c.Namespace)
			}
		}
	}
	return fmt.Sprintf("another app (label %s=%s)", key, value)
}
