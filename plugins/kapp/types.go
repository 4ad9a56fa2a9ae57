package kapp

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	ctlres "carvel.dev/kapp/pkg/kapp/resources"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
)

// types are the types of objects that the API server knows, as it told at the beginning.
type types struct {
	groups []*metav1.APIGroup
	lists  []*metav1.APIResourceList
	// failing are the API groups that the server couldn't tell about, because what serves them is down.
	failing map[string]bool
}

func loadTypes(d discovery.DiscoveryInterface) (*types, error) {
	groups, lists, err := d.ServerGroupsAndResources()
	t := &types{groups: groups, lists: lists, failing: map[string]bool{}}
	if partial := (*discovery.ErrGroupDiscoveryFailed)(nil); errors.As(err, &partial) && len(lists) > 0 {
		for gv := range maps.Keys(partial.Groups) {
			t.failing[gv.Group] = true
		}
		return t, nil
	}
	return t, err
}

// All lists the types in the form that kapp's library wants.
func (t *types) All(bool) ([]ctlres.ResourceType, error) {
	var all []ctlres.ResourceType
	for _, list := range t.lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, r := range list.APIResources {
			// Subresources may say another group; the objects themselves never do.
			if strings.Contains(r.Name, "/") {
				continue
			}
			r.Group, r.Version = gv.Group, gv.Version
			all = append(all, ctlres.ResourceType{GroupVersionResource: gv.WithResource(r.Name), APIResource: r})
		}
	}
	return all, nil
}

// Find returns the type of an object.
func (t *types) Find(r ctlres.Resource) (ctlres.ResourceType, error) {
	all, err := t.All(false)
	if err != nil {
		return ctlres.ResourceType{}, err
	}
	for _, known := range all {
		if known.GroupVersion() == r.GroupVersion() && known.Kind == r.Kind() {
			return known, nil
		}
	}
	return ctlres.ResourceType{}, ctlres.ResourceTypesUnknownTypeErr{}
}

// CanIgnoreFailingGroupVersion tells that no group has to answer.
func (t *types) CanIgnoreFailingGroupVersion(schema.GroupVersion) bool { return true }

// versions lists the API versions of a group that have a kind, the server's preferred one first.
func (t *types) versions(group, kind string) []string {
	var found []string
	for _, list := range t.lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil || gv.Group != group {
			continue
		}
		if slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Kind == kind }) {
			found = append(found, list.GroupVersion)
		}
	}
	return found
}

// A knowingClient is a client with another way to find out the server's types.
type knowingClient struct {
	kubernetes.Interface
	discovery discovery.DiscoveryInterfaces
}

func (c knowingClient) Discovery() discovery.DiscoveryInterfaces { return c.discovery }

// knowingDiscovery answers the first question for all types from what is known. Every later one asks
// the server: kapp's library asks again when it misses a type, such as that of a new CRD.
type knowingDiscovery struct {
	discovery.DiscoveryInterfaces
	once  sync.Once
	known *types
}

func (d *knowingDiscovery) ServerGroupsAndResources() ([]*metav1.APIGroup, []*metav1.APIResourceList, error) {
	first := false
	d.once.Do(func() { first = len(d.known.failing) == 0 })
	if first {
		return d.known.groups, d.known.lists, nil
	}
	return d.DiscoveryInterfaces.ServerGroupsAndResources()
}
