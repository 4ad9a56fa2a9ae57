package kapp

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	ctlres "carvel.dev/kapp/pkg/kapp/resources"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"strake.dev/strake/internal/live"
)

// types are the types of objects that the API server knows. They are read when they are first needed,
// from what was learned earlier, and again when one is missing.
type types struct {
	discovery discovery.CachedDiscoveryInterface

	mu    sync.Mutex
	known []ctlres.ResourceType
	byGVK map[schema.GroupVersionKind]ctlres.ResourceType
	// failing are the API groups that the server couldn't tell about, because what serves them is down.
	failing map[string]bool
	// current means that a missing type is missing: the server itself was asked, and nothing was done
	// since then that could have added one.
	current bool
}

var _ ctlres.ResourceTypes = (*types)(nil)

// load makes known what the server's types are. The caller holds the lock.
func (t *types) load() error {
	if t.known != nil {
		return nil
	}
	_, lists, err := t.discovery.ServerGroupsAndResources()
	failing := map[string]bool{}
	if partial := (*discovery.ErrGroupDiscoveryFailed)(nil); errors.As(err, &partial) && len(lists) > 0 {
		for gv := range maps.Keys(partial.Groups) {
			failing[gv.Group] = true
		}
	} else if err != nil {
		return err
	}
	known := []ctlres.ResourceType{}
	byGVK := map[schema.GroupVersionKind]ctlres.ResourceType{}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return err
		}
		for _, r := range list.APIResources {
			// Subresources may say another group; the objects themselves never do.
			if strings.Contains(r.Name, "/") {
				continue
			}
			r.Group, r.Version = gv.Group, gv.Version
			t := ctlres.ResourceType{GroupVersionResource: gv.WithResource(r.Name), APIResource: r}
			known = append(known, t)
			byGVK[gv.WithKind(r.Kind)] = t
		}
	}
	t.known, t.byGVK, t.failing = known, byGVK, failing
	t.current = t.current || t.discovery.Fresh()
	return nil
}

// changed says that the server may have got new types.
func (t *types) changed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.current = false
}

// refresh asks the server itself, unless that wouldn't tell anything new.
func (t *types) refresh() error {
	if t.current {
		return nil
	}
	t.discovery.Invalidate()
	t.known, t.current = nil, true
	return t.load()
}

// All lists the types in the form that kapp's library wants.
func (t *types) All(fresh bool) ([]ctlres.ResourceType, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.load(); err != nil {
		return nil, err
	}
	if fresh {
		if err := t.refresh(); err != nil {
			return nil, err
		}
	}
	return slices.Clone(t.known), nil
}

// Find returns the type of an object.
func (t *types) Find(r ctlres.Resource) (ctlres.ResourceType, error) {
	return t.find(r.GroupVersion().WithKind(r.Kind()))
}

func (t *types) find(gvk schema.GroupVersionKind) (ctlres.ResourceType, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.load(); err != nil {
		return ctlres.ResourceType{}, err
	}
	if found, ok := t.byGVK[gvk]; ok {
		return found, nil
	}
	if err := t.refresh(); err != nil {
		return ctlres.ResourceType{}, err
	}
	if found, ok := t.byGVK[gvk]; ok {
		return found, nil
	}
	return ctlres.ResourceType{}, unknownTypeError{gvk}
}

// An unknownTypeError says that the server lists no such type.
type unknownTypeError struct{ gvk schema.GroupVersionKind }

func (e unknownTypeError) Error() string {
	return fmt.Sprintf("the cluster has no %s in %s", e.gvk.Kind, e.gvk.GroupVersion())
}

func isUnknownType(err error) bool {
	_, ok := errors.AsType[unknownTypeError](err)
	return ok
}

// CanIgnoreFailingGroupVersion tells that no group has to answer.
func (t *types) CanIgnoreFailingGroupVersion(schema.GroupVersion) bool { return true }

// down tells whether the server couldn't tell about an API group.
func (t *types) down(group string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failing[group]
}

// versions lists the API versions of a group that have a kind, the server's preferred one first.
func (t *types) versions(group, kind string) []string {
	all, err := t.All(false)
	if err != nil {
		return nil
	}
	var found []string
	for _, r := range all {
		if r.APIResource.Group == group && r.Kind == kind {
			found = append(found, r.GroupVersion().String())
		}
	}
	return found
}

// kinds are the listable types, one for each group and kind in its preferred version. An empty scope
// means all of them but those that kapp never looks at.
func (t *types) kinds(scope []schema.GroupKind) ([]live.Kind, error) {
	all, err := t.All(false)
	if err != nil {
		return nil, err
	}
	var kinds []live.Kind
	seen := map[schema.GroupResource]bool{}
	for _, r := range ctlres.Listable(all) {
		gk := schema.GroupKind{Group: r.APIResource.Group, Kind: r.Kind}
		switch {
		case seen[r.GroupResource()]:
			continue
		case len(scope) > 0 && !slices.Contains(scope, gk), len(scope) == 0 && unlisted[gk]:
			continue
		}
		seen[r.GroupResource()] = true
		kinds = append(kinds, kindOf(r))
	}
	return kinds, nil
}

// inhabited are the listable types of which an app that has objects of certain kinds may have some: besides
// those, what controllers make in namespaces after objects of theirs. Without knowing the kinds it is all.
func (t *types) inhabited(used *[]schema.GroupKind) ([]live.Kind, error) {
	all, err := t.kinds(nil)
	if err != nil || used == nil {
		return all, err
	}
	return slices.DeleteFunc(all, func(k live.Kind) bool {
		return !k.Namespaced && !slices.Contains(*used, schema.GroupKind{Group: k.Group, Kind: k.Kind})
	}), nil
}

// unlisted are kinds whose objects never belong to an app, of which there may be very many.
var unlisted = map[schema.GroupKind]bool{
	{Kind: "Event"}: true, {Group: "events.k8s.io", Kind: "Event"}: true, {Kind: "ComponentStatus"}: true,
	{Group: "cilium.io", Kind: "CiliumIdentity"}: true, {Group: "metrics.k8s.io", Kind: "PodMetrics"}: true,
}

func kindOf(t ctlres.ResourceType) live.Kind {
	return live.Kind{GroupVersionResource: t.GroupVersionResource, Kind: t.Kind, Namespaced: t.Namespaced()}
}
