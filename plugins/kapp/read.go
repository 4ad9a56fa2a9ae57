package kapp

import (
	"context"
	"slices"
	"strings"
	"sync"

	ctlres "carvel.dev/kapp/pkg/kapp/resources"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apitypes "k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"strake.dev/strake/internal/live"
)

// few is the number of objects of a kind up to which they are read one by one.
const few = 8

// read reads objects as a whole, in the version of the API in which kapp has made them.
func (s *session) read(objects []live.Object, sel labels.Selector) ([]ctlres.Resource, error) {
	types := map[schema.GroupVersionResource]ctlres.ResourceType{}
	groups := map[schema.GroupVersionResource][]live.Object{}
	for _, o := range objects {
		t, err := s.typeOf(o)
		if err != nil {
			return nil, s.explain(err)
		}
		types[t.GroupVersionResource] = t
		groups[t.GroupVersionResource] = append(groups[t.GroupVersionResource], o)
	}
	var (
		mu   sync.Mutex
		read []ctlres.Resource
	)
	group, ctx := errgroup.WithContext(s.ctx)
	group.SetLimit(requestsAtOnce)
	for gvr, some := range groups {
		take := func(u *unstructured.Unstructured) {
			r := ctlres.NewResourceUnstructured(*u, types[gvr])
			id := ctlres.NewIdentityAnnotation(r)
			r.MarkTransient(!id.Valid())
			// It fails only for annotations that are no map, which the API server doesn't have.
			_ = id.RemoveMod().Apply(r)
			mu.Lock()
			defer mu.Unlock()
			read = append(read, r)
		}
		client := s.clients.dynamic.Resource(gvr)
		if len(some) > few {
			group.Go(func() error { return readAll(ctx, client, types[gvr].Namespaced(), some, sel, take) })
			continue
		}
		for _, o := range some {
			group.Go(func() error { return readOne(ctx, client, o.Namespace, o.Name, take) })
		}
	}
	err := group.Wait()
	return read, s.explain(err)
}

// typeOf is the type in which kapp has made an object, or else the one in which it was listed.
func (s *session) typeOf(o live.Object) (ctlres.ResourceType, error) {
	// The annotation is v1;namespace/group/Kind/name;group/version.
	if _, version, ok := strings.Cut(strings.TrimPrefix(o.Annotations[identityKey], "v1;"), ";"); ok {
		if gv, err := schema.ParseGroupVersion(version); err == nil && gv.Group == o.Kind.Group {
			if t, err := s.clients.types.find(gv.WithKind(o.Kind.Kind)); err == nil {
				return t, nil
			}
		}
	}
	return s.clients.types.find(o.Kind.GroupVersion().WithKind(o.Kind.Kind))
}

const identityKey = "kapp.k14s.io/identity"

func readOne(ctx context.Context, client dynamic.NamespaceableResourceInterface, namespace, name string, take func(*unstructured.Unstructured)) error {
	u, err := client.Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return err
	}
	take(u)
	return nil
}

// readAll reads objects by lists: of the cluster, or of each namespace where that isn't allowed.
func readAll(ctx context.Context, client dynamic.NamespaceableResourceInterface, namespaced bool, some []live.Object, sel labels.Selector, take func(*unstructured.Unstructured)) error {
	want, places := map[apitypes.UID]bool{}, []string{}
	for _, o := range some {
		want[o.UID] = true
		if !slices.Contains(places, o.Namespace) {
			places = append(places, o.Namespace)
		}
	}
	if namespaced && len(places) > 1 {
		places = append([]string{""}, places...)
	}
	for i, ns := range places {
		list, err := client.Namespace(ns).List(ctx, metav1.ListOptions{LabelSelector: sel.String()})
		if apierrors.IsForbidden(err) && ns == "" && i+1 < len(places) {
			continue
		}
		if err != nil {
			return err
		}
		for i := range list.Items {
			if want[list.Items[i].GetUID()] {
				take(&list.Items[i])
			}
		}
		if ns == "" {
			return nil
		}
	}
	return nil
}
