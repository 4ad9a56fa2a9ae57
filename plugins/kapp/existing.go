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
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apitypes "k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"strake.dev/strake/internal/live"
)

// existing is what the cluster has of an app.
type existing struct {
	// listed is the metadata of all objects with the app's label.
	listed []live.Object
	// resources are those objects that have to be compared with the manifests.
	resources []ctlres.Resource
	// same are the keys of objects that needn't be: neither they nor what the manifests want has changed.
	same map[string]bool
	// owned is the number of objects that kapp has made.
	owned int
}

const requestsAtOnce = 16

// list lists what has the app's label, of the kinds of the record and of the manifests.
func (s *session) list(meta ctlapp.Meta, d *desired) ([]live.Object, error) {
	var scope []schema.GroupKind
	if meta.UsedGKs != nil && !s.flags.deploy.DeployFlags.DisableGKScoping {
		scope = slices.Concat(*meta.UsedGKs, groupKinds(d.resources))
		if len(scope) == 0 {
			return nil, nil
		}
	}
	kinds, err := s.clients.types.kinds(scope)
	if err != nil {
		return nil, s.explain(err)
	}
	found, err := s.clients.meta.List(s.ctx, kinds, selector(meta), s.namespaces(meta, d))
	return found, s.explain(err)
}

// namespaces are those that the app is known to use.
func (s *session) namespaces(meta ctlapp.Meta, d *desired) []string {
	all := append([]string{s.target.objects}, meta.LastChange.Namespaces...)
	if d != nil {
		all = append(all, d.namespaces...)
	}
	return slices.DeleteFunc(all, func(ns string) bool { return ns == "" || ns == "(cluster)" })
}

// look finds out what the cluster has of the app and of what the manifests want. proof may be nil.
func (s *session) look(meta ctlapp.Meta, d *desired, isNew bool, missing map[string]bool, proof *live.Proof, found *findings) (*existing, error) {
	e := &existing{same: map[string]bool{}}
	if !isNew {
		var err error
		if e.listed, err = s.list(meta, d); err != nil {
			return nil, err
		}
	}
	wanted := make(map[string]ctlres.Resource, len(d.resources))
	for _, r := range d.resources {
		wanted[keyOf(r)] = r
		if _, versioned := r.Annotations()["kapp.k14s.io/versioned"]; versioned {
			proof = nil // its object has another name, and others refer to that
		}
	}
	ignored := s.flags.deploy.ApplyFlags.ApplyIgnored || s.flags.deploy.ApplyFlags.WaitIgnored
	labelled := map[string]bool{}
	var compare []live.Object
	for _, o := range e.listed {
		shell := shellOf(o)
		key := keyOf(shell)
		labelled[key] = true
		own := ctlres.NewIdentityAnnotation(shell).Valid()
		want := wanted[key]
		if own {
			e.owned++
		}
		switch {
		case want == nil && !own && !ignored:
			// A controller has made it.
		case want != nil && proof != nil && proof.Compare(o) == live.Same && proof.Wanted(o.Key(), d.wanted(want)):
			e.same[key] = true
		default:
			compare = append(compare, o)
		}
	}
	var err error
	if e.resources, err = s.read(compare, selector(meta)); err != nil {
		return nil, err
	}
	if s.flags.deploy.DeployFlags.ExistingNonLabeledResourcesCheck {
		var others []ctlres.Resource
		for key, r := range wanted {
			if !labelled[key] && !missing[r.Namespace()] {
				others = append(others, r)
			}
		}
		others, err := s.unlabelled(others, found)
		if err != nil {
			return nil, err
		}
		s.ownership(meta, others, wanted, found)
		e.resources = append(e.resources, others...)
	}
	filter, err := s.flags.deploy.ResourceFilterFlags.ResourceFilter()
	if err != nil {
		return nil, s.explain(err)
	}
	e.resources = filter.Apply(e.resources)
	if s.flags.deploy.DeployFlags.Patch {
		if e.resources, err = ctlres.NewUniqueResources(e.resources).Match(d.resources); err != nil {
			return nil, s.explain(err)
		}
	}
	return e, nil
}

// shellOf is an object of which only the metadata is known.
func shellOf(o live.Object) *ctlres.ResourceImpl {
	u := unstructured.Unstructured{Object: map[string]any{}}
	u.SetGroupVersionKind(o.Kind.GroupVersion().WithKind(o.Kind.Kind))
	u.SetName(o.Name)
	u.SetNamespace(o.Namespace)
	u.SetUID(o.UID)
	u.SetLabels(o.Labels)
	u.SetAnnotations(o.Annotations)
	u.SetCreationTimestamp(o.CreationTimestamp)
	u.SetDeletionTimestamp(o.DeletionTimestamp)
	u.SetFinalizers(o.Finalizers)
	u.SetOwnerReferences(o.OwnerReferences)
	return ctlres.NewResourceUnstructured(u, ctlres.ResourceType{
		GroupVersionResource: o.Kind.GroupVersionResource,
		APIResource:          metav1.APIResource{Namespaced: o.Kind.Namespaced, Kind: u.GetKind()},
	})
}

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
	if len(some) < few {
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
