package kapp

import (
	"slices"

	ctlapp "carvel.dev/kapp/pkg/kapp/app"
	ctlres "carvel.dev/kapp/pkg/kapp/resources"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

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
