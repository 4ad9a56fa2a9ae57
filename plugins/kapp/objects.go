package kapp

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"reflect"
	"sync"

	ctldiff "carvel.dev/kapp/pkg/kapp/diff"
	ctlres "carvel.dev/kapp/pkg/kapp/resources"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apitypes "k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"strake.dev/strake/internal/kube"
)

// objects are the objects in the cluster for kapp's library, by requests.
type objects struct {
	ctx     context.Context
	clients *clients
	// factory compares objects by the rules of the deploy.
	factory ctldiff.ChangeFactory

	mu sync.Mutex
	// applying are the changes under way, by the key of their object.
	applying map[string]ctldiff.Change
	// written are objects as the last write has left them, by key.
	written map[string]ctlres.Resource
	// gone are the UIDs of deleted objects that need nothing more to be gone.
	gone map[string]bool
	// sums are the digests that objects of a kind had.
	sums map[schema.GroupVersionKind]string
}

var _ ctlres.Resources = (*objects)(nil)

func newObjects(ctx context.Context, c *clients) *objects {
	return &objects{
		ctx: ctx, clients: c, applying: map[string]ctldiff.Change{}, written: map[string]ctlres.Resource{},
		gone: map[string]bool{}, sums: map[schema.GroupVersionKind]string{},
	}
}

func keyOf(r ctlres.Resource) string { return ctlres.NewUniqueResourceKey(r).String() }

// begin says that a change is about to be made.
func (o *objects) begin(c ctldiff.Change) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.applying[keyOf(c.NewOrExistingResource())] = c
}

func (o *objects) client(r ctlres.Resource) (dynamic.ResourceInterface, ctlres.ResourceType, error) {
	t, err := o.clients.types.Find(r)
	if err != nil {
		return nil, t, err
	}
	return o.clients.dynamic.Resource(t.GroupVersionResource).Namespace(r.Namespace()), t, nil
}

// Create makes an object.
func (o *objects) Create(r ctlres.Resource) (ctlres.Resource, error) {
	g := o.guess(r)
	var (
		made *unstructured.Unstructured
		t    ctlres.ResourceType
	)
	err := o.retry(func(again bool) error {
		client, found, err := o.client(r)
		if isUnknownType(err) {
			// It was found before, in the cluster or among the manifests.
			o.clients.types.changed()
			return comingError{err}
		}
		if err != nil {
			return err
		}
		t = found
		made, err = client.Create(o.ctx, g.body, metav1.CreateOptions{})
		if kube.Unserved(err) {
			return comingError{err}
		}
		if again && apierrors.IsAlreadyExists(err) {
			// The connection may have broken after the server had made it.
			if made, err = client.Get(o.ctx, r.Name(), metav1.GetOptions{}); err == nil && !sameOrigin(made, g.body) {
				return apierrors.NewAlreadyExists(t.GroupResource(), r.Name())
			}
		}
		return err
	})
	if err != nil {
		return nil, o.fail("Creating", r, err)
	}
	if g.asExpected(made) {
		o.keep(ctlres.NewResourceUnstructured(*made, t))
		return settled(r), nil
	}
	return o.wrote(made, t), nil
}

// sameOrigin tells whether an object was made from the same original by the same app.
func sameOrigin(a, b *unstructured.Unstructured) bool {
	const identity = "kapp.k14s.io/identity"
	x, y := a.GetAnnotations(), b.GetAnnotations()
	return x[originalKey] == y[originalKey] && x[identity] == y[identity]
}

// Update writes an object.
func (o *objects) Update(r ctlres.Resource) (ctlres.Resource, error) {
	client, t, err := o.client(r)
	if err != nil {
		return nil, o.fail("Updating", r, err)
	}
	o.mu.Lock()
	last := o.written[keyOf(r)]
	if sum := r.Annotations()[md5Key]; sum != "" {
		o.sums[r.GroupVersion().WithKind(r.Kind())] = sum
	}
	o.mu.Unlock()
	if last != nil && reflect.DeepEqual(last.UnstructuredObject(), r.UnstructuredObject()) {
		return last.DeepCopy(), nil
	}
	body := o.guess(r).body
	var made *unstructured.Unstructured
	err = o.retry(func(again bool) error {
		made, err = client.Update(o.ctx, body, metav1.UpdateOptions{})
		if again && apierrors.IsConflict(err) {
			conflict := err
			if made, err = client.Get(o.ctx, r.Name(), metav1.GetOptions{}); err == nil && !sameOrigin(made, body) {
				return conflict
			}
		}
		return err
	})
	if err != nil {
		return nil, o.fail("Updating", r, err)
	}
	return o.wrote(made, t), nil
}

// wrote remembers how a write has left an object.
func (o *objects) wrote(made *unstructured.Unstructured, t ctlres.ResourceType) ctlres.Resource {
	r := ctlres.NewResourceUnstructured(*made, t)
	o.keep(r.DeepCopy())
	return r
}

func (o *objects) keep(r ctlres.Resource) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.written[keyOf(r)] = r
}

// Patch changes an object.
func (o *objects) Patch(r ctlres.Resource, kind apitypes.PatchType, patch []byte) (ctlres.Resource, error) {
	client, t, err := o.client(r)
	if err != nil {
		return nil, o.fail("Patching", r, err)
	}
	var made *unstructured.Unstructured
	err = o.retry(func(bool) error {
		made, err = client.Patch(o.ctx, r.Name(), kind, patch, metav1.PatchOptions{})
		return err
	})
	if err != nil {
		return nil, o.fail("Patching", r, err)
	}
	return o.wrote(made, t), nil
}

// Delete deletes the very object that r is a copy of. The objects that depend on it are deleted later,
// by the cluster.
func (o *objects) Delete(r ctlres.Resource) error {
	o.mu.Lock()
	gone := o.gone[r.UID()]
	o.mu.Unlock()
	if r.IsDeleting() || gone {
		return nil
	}
	t, err := o.clients.types.Find(r)
	if err != nil {
		return o.fail("Deleting", r, err)
	}
	if !t.Deletable() {
		return nil
	}
	background := metav1.DeletePropagationBackground
	opts := metav1.DeleteOptions{PropagationPolicy: &background}
	opts.Kind, opts.APIVersion = "DeleteOptions", "v1"
	if uid := apitypes.UID(r.UID()); uid != "" {
		opts.Preconditions = &metav1.Preconditions{UID: &uid}
	}
	body, err := json.Marshal(opts)
	if err != nil {
		return err
	}
	var answer []byte
	err = o.retry(func(bool) error {
		answer, err = o.clients.core.Discovery().RESTClient().Delete().AbsPath(pathOf(t, r)).
			SetHeader("Content-Type", "application/json").Body(body).Do(o.ctx).Raw()
		return err
	})
	switch {
	case apierrors.IsNotFound(err):
		o.isGone(r)
		return nil
	case err != nil:
		return o.fail("Deleting", r, err)
	}
	// The answer is a Status if the object is gone, and the object itself if something keeps it.
	var what metav1.TypeMeta
	if json.Unmarshal(answer, &what) == nil && what.Kind == "Status" {
		o.isGone(r)
	}
	return nil
}

func (o *objects) isGone(r ctlres.Resource) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gone[r.UID()] = true
	delete(o.written, keyOf(r))
}

// pathOf is the path of an object at the API server.
func pathOf(t ctlres.ResourceType, r ctlres.Resource) string {
	p := "/api/" + t.GroupVersionResource.Version
	if t.GroupVersionResource.Group != "" {
		p = path.Join("/apis", t.GroupVersionResource.Group, t.GroupVersionResource.Version)
	}
	if r.Namespace() != "" {
		p = path.Join(p, "namespaces", r.Namespace())
	}
	return path.Join(p, t.Resource, r.Name())
}

// Get reads an object.
func (o *objects) Get(r ctlres.Resource) (ctlres.Resource, error) {
	found, err := o.get(r, "Getting")
	return found, err
}

func (o *objects) get(r ctlres.Resource, doing string) (ctlres.Resource, error) {
	client, t, err := o.client(r)
	if err != nil {
		return nil, err
	}
	var found *unstructured.Unstructured
	err = o.retry(func(bool) error {
		found, err = client.Get(o.ctx, r.Name(), metav1.GetOptions{})
		return err
	})
	if err != nil {
		return nil, o.fail(doing, r, err)
	}
	return ctlres.NewResourceUnstructured(*found, t), nil
}

// Exists tells whether an object is there, and reads it.
func (o *objects) Exists(r ctlres.Resource, opts ctlres.ExistsOpts) (ctlres.Resource, bool, error) {
	found, err := o.get(r, "Checking existence of")
	switch {
	case apierrors.IsNotFound(err), isUnknownType(err):
		return nil, false, nil
	case err != nil:
		return nil, false, err
	case opts.SameUID && found.UID() != r.UID():
		return nil, false, nil
	}
	return found, true, nil
}

// All isn't used: what the app has is found out before kapp's library is called.
func (o *objects) All([]ctlres.ResourceType, ctlres.AllOpts) ([]ctlres.Resource, error) {
	return nil, fmt.Errorf("internal error: objects are listed elsewhere")
}

// fail makes kapp's error of a request that failed, which still tells the server's own.
func (o *objects) fail(doing string, r ctlres.Resource, err error) error {
	return &requestError{doing: doing, object: r.Description(), err: err}
}

// A requestError says which request failed, in kapp's words.
type requestError struct {
	doing, object string
	err           error
}

func (e *requestError) Error() string {
	return fmt.Sprintf("%s resource %s: API server says: %s (reason: %s)", e.doing, e.object, e.err, apierrors.ReasonForError(e.err))
}

func (e *requestError) Unwrap() error { return e.err }
