package kapp

import (
	"context"
	"slices"

	ctlcap "carvel.dev/kapp/pkg/kapp/clusterapply"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"strake.dev/strake/internal/live"
)

// A bulk deletes many objects by one request: when a whole app goes, all objects of a kind in a namespace
// that have the app's label, provided that each of them is to be deleted now.
type bulk struct {
	objects  *objects
	selector labels.Selector
	// total is the number of objects with the app's label, by kind and namespace.
	total map[shelf]int
	// tried are those that were deleted by one request, or for which that didn't work.
	tried map[shelf]bool
}

// A shelf is all objects of a kind in a namespace.
type shelf struct {
	kind      live.Kind
	namespace string
}

func newBulk(o *objects, selector labels.Selector, listed []live.Object) *bulk {
	b := &bulk{objects: o, selector: selector, total: map[shelf]int{}, tried: map[shelf]bool{}}
	for _, o := range listed {
		b.total[shelf{o.Kind, o.Namespace}]++
	}
	return b
}

// pick takes out of the changes those that one request can make, by shelf.
func (b *bulk) pick(ready []*change) (shelves map[shelf][]*change, rest []*change) {
	groups := map[shelf][]*change{}
	for _, c := range ready {
		if s, ok := b.shelfOf(c); ok {
			groups[s] = append(groups[s], c)
		}
	}
	shelves = map[shelf][]*change{}
	picked := map[*change]bool{}
	for s, some := range groups {
		if len(some) < b.total[s] || len(some) < few {
			continue
		}
		shelves[s], b.tried[s] = some, true
		for _, c := range some {
			picked[c] = true
		}
	}
	return shelves, slices.DeleteFunc(slices.Clone(ready), func(c *change) bool { return picked[c] })
}

// shelfOf tells where an object belongs that may be deleted together with others.
func (b *bulk) shelfOf(c *change) (shelf, bool) {
	r := c.Resource()
	strategy, err := c.ApplyStrategyOp()
	if c.ApplyOp() != ctlcap.ClusterChangeApplyOpDelete || err != nil || strategy != "" || r.Namespace() == "" || r.Transient() || r.IsDeleting() {
		return shelf{}, false
	}
	t, err := b.objects.clients.types.Find(r)
	if err != nil || !slices.Contains(t.Verbs, "deletecollection") {
		return shelf{}, false
	}
	s := shelf{kindOf(t), r.Namespace()}
	return s, !b.tried[s]
}

// delete deletes the objects of a shelf, and notes which of them are gone. Whatever is left, be it all, is
// deleted one by one afterwards.
func (b *bulk) delete(ctx context.Context, s shelf, changes []*change) {
	client := b.objects.clients.dynamic.Resource(s.kind.GroupVersionResource).Namespace(s.namespace)
	background := metav1.DeletePropagationBackground
	opts := metav1.DeleteOptions{PropagationPolicy: &background}
	err := client.DeleteCollection(ctx, opts, metav1.ListOptions{LabelSelector: b.selector.String()})
	if err != nil && !apierrors.IsNotFound(err) {
		return
	}
	left, err := b.objects.clients.meta.List(ctx, []live.Kind{s.kind}, b.selector, []string{s.namespace})
	if err != nil {
		return
	}
	there := map[string]bool{}
	for _, o := range left {
		there[string(o.UID)] = true
	}
	for _, c := range changes {
		if r := c.Resource(); !there[r.UID()] {
			b.objects.isGone(r)
		}
	}
}
