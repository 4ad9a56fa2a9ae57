package ssa

import (
	"context"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"strake.dev/strake/internal/kube"
)

// A recorder is the client that the library is given. The library reads an object and tries the write
// out, once to compare and once more to write; the recorder answers the second time from what it has
// seen the first time. It also leaves conflicts to be conflicts if that is wanted. It is safe for concurrent use, one object by one caller.
type recorder struct {
	client.Client
	// force takes over fields of others.
	force bool

	mu   sync.Mutex
	seen map[id]*sight
}

// A sight is what is known of one object.
type sight struct {
	// looked is set once live is known; live is nil if there is no such object.
	looked bool
	live   *unstructured.Unstructured
	// dry is what a write would make of it, and dryErr why it can't be written.
	dry    *unstructured.Unstructured
	dryErr error
	// written is how the last write has left it.
	written *unstructured.Unstructured
}

// An id names an object within a cluster, whatever the version of its type.
type id struct {
	schema.GroupKind
	namespace, name string
}

func idOf(o client.Object) id {
	return id{o.GetObjectKind().GroupVersionKind().GroupKind(), o.GetNamespace(), o.GetName()}
}

func newRecorder(c client.Client, force bool) *recorder {
	return &recorder{Client: c, force: force, seen: map[id]*sight{}}
}

// of returns what is known of an object.
func (r *recorder) of(i id) *sight {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.seen[i]
	if s == nil {
		s = &sight{}
		r.seen[i] = s
	}
	return s
}

// forget makes the recorder ask the server about an object again.
func (r *recorder) forget(i id) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.seen, i)
}

// Get returns an object as it was seen, or else reads it.
func (r *recorder) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	u, ok := o.(*unstructured.Unstructured)
	if !ok {
		return r.Client.Get(ctx, key, o, opts...)
	}
	gk := u.GroupVersionKind().GroupKind()
	s := r.of(id{gk, key.Namespace, key.Name})
	if !s.looked {
		err := r.Client.Get(ctx, key, o, opts...)
		switch {
		case err == nil:
			s.looked, s.live = true, u.DeepCopy()
		case apierrors.IsNotFound(err):
			s.looked, s.live = true, nil
		}
		return err
	}
	if s.live == nil {
		return apierrors.NewNotFound(schema.GroupResource{Group: gk.Group, Resource: gk.Kind}, key.Name)
	}
	s.live.DeepCopyInto(u)
	return nil
}

// Patch writes an object, or tries that out.
func (r *recorder) Patch(ctx context.Context, o client.Object, p client.Patch, opts ...client.PatchOption) error {
	options := (&client.PatchOptions{}).ApplyOptions(opts)
	u, ok := o.(*unstructured.Unstructured)
	if !ok || p.Type() != types.ApplyPatchType {
		return insist(ctx, refusedForNow, func() error { return r.Client.Patch(ctx, o, p, options) })
	}
	if !r.force {
		options.Force = nil
	}
	s := r.of(idOf(u))
	if len(options.DryRun) == 0 {
		err := insist(ctx, refusedForNow, func() error { return r.Client.Patch(ctx, u, p, options) })
		if err == nil {
			s.written = u.DeepCopy()
		}
		return err
	}
	if s.dry != nil || s.dryErr != nil && !kube.Unserved(s.dryErr) {
		dry, err := s.dry, s.dryErr
		if dry != nil {
			dry.DeepCopyInto(u)
		}
		return err
	}
	wanted := u.DeepCopy()
	err := insist(ctx, refusedForNow, func() error { return r.Client.Patch(ctx, u, p, options) })
	if apierrors.IsBadRequest(err) && strings.Contains(err.Error(), "does not support dry run") {
		// An admission webhook that can't be tried out: what is wanted stands for the result.
		wanted.DeepCopyInto(u)
		if s.live != nil {
			u.SetResourceVersion(s.live.GetResourceVersion())
		}
		err = nil
	}
	if s.dryErr = err; err == nil {
		s.dry = u.DeepCopy()
	}
	return err
}

// Delete deletes an object, of which nothing is known from then on.
func (r *recorder) Delete(ctx context.Context, o client.Object, opts ...client.DeleteOption) error {
	r.forget(idOf(o))
	return r.Client.Delete(ctx, o, opts...)
}
