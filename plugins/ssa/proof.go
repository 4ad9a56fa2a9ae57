package ssa

import (
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"strake.dev/strake/internal/live"
	"strake.dev/strake/stages"
)

// input is a digest of all that the state of an object depends on beside the manifests.
func (s *session) input() string {
	return stages.Manifests(s.config.text() + "\x00" + s.app + "\x00" + s.place.Record).Digest()
}

// proof is how the last deploy has left the app's objects; nil if that isn't known, or no longer means
// anything.
func (s *session) proof(inv *inventory) *live.Proof {
	if inv.record.Proof == "" {
		return nil
	}
	p, err := live.DecodeProof(inv.record.Proof)
	if err != nil || p.Input != s.input() {
		return nil // the objects are looked at then
	}
	return p
}

// prove records how the objects are now. since is a time of the server's clock before that. An object
// that was changed after it was written is recorded only if it still is as the manifests say.
func (s *session) prove(v *view, since time.Time) (string, error) {
	p := &live.Proof{Input: s.input()}
	have, err := s.mine(v, v.items)
	if err != nil {
		return "", err
	}
	namespaces := map[string]bool{}
	var mu sync.Mutex
	err = s.each(len(v.items), func(n int) error {
		i := v.items[n]
		o, ok := have[i.key()]
		if !ok {
			return nil
		}
		if !s.expected(i, o) {
			again := &item{want: i.want, ref: i.ref, kind: i.kind}
			if err := s.lookAt(again, true); err != nil || again.change.op != opNone || again.live == nil {
				return nil // the next run sees to it
			}
			o = objectOf(i.kind, again.live)
		}
		mu.Lock()
		defer mu.Unlock()
		p.Add(o, since, i.digest)
		if ns := i.want.GetNamespace(); !namespaces[ns] {
			namespaces[ns] = true
			p.Namespaces = append(p.Namespaces, ns)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return p.Encode()
}

// expected tells whether an object is as this run has left or found it.
func (s *session) expected(i *item, o live.Object) bool {
	last := s.client.of(i.id()).written
	switch {
	case i.left != nil && last == nil:
		return i.left.UID == o.UID && (i.left.ResourceVersion == o.ResourceVersion || live.State(&i.left.ObjectMeta) == live.State(&o.ObjectMeta))
	case last == nil:
		last = i.live
	}
	return last != nil && last.GetUID() == o.UID && (last.GetResourceVersion() == o.ResourceVersion || stateOf(last) == live.State(&o.ObjectMeta))
}

func objectOf(kind live.Kind, o *unstructured.Unstructured) live.Object {
	return live.Object{Kind: kind, PartialObjectMetadata: &metav1.PartialObjectMetadata{ObjectMeta: *metaOf(o)}}
}
