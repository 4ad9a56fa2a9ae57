package live

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
)

// A Kind is a type of objects as requests name it.
type Kind struct {
	schema.GroupVersionResource
	// Kind is the name of the kind, as in manifests.
	Kind       string
	Namespaced bool
}

// An Object is the metadata of an object.
type Object struct {
	Kind Kind
	*metav1.PartialObjectMetadata
}

// Key names the object within its cluster.
func (o Object) Key() Key {
	return Key{Group: o.Kind.Group, Resource: o.Kind.Resource, Namespace: o.Namespace, Name: o.Name}
}

// A Key names an object within a cluster, whatever the version of its API.
type Key struct{ Group, Resource, Namespace, Name string }

// A Reader lists metadata. It is safe for concurrent use.
type Reader struct{ client metadata.Interface }

// NewReader returns a reader that makes its requests with a configuration and an HTTP client for it.
func NewReader(config *rest.Config, client *http.Client) (*Reader, error) {
	c, err := metadata.NewForConfigAndClient(metadata.ConfigFor(config), client)
	if err != nil {
		return nil, err
	}
	return &Reader{client: c}, nil
}

// listsAtOnce is how many lists are asked for at the same time.
const listsAtOnce = 16

// List returns the metadata of the kinds' objects that a selector matches, by one request per kind. A
// kind that may not be listed in the whole cluster is listed in each of the namespaces; where that
// isn't allowed either, or the server doesn't know the kind, it has no objects.
func (r *Reader) List(ctx context.Context, kinds []Kind, selector labels.Selector, namespaces []string) ([]Object, error) {
	var (
		mu    sync.Mutex
		found []Object
	)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(listsAtOnce)
	for _, kind := range kinds {
		group.Go(func() error {
			objects, err := r.kind(ctx, kind, selector, namespaces)
			mu.Lock()
			defer mu.Unlock()
			found = append(found, objects...)
			return err
		})
	}
	err := group.Wait()
	return found, err
}

func (r *Reader) kind(ctx context.Context, kind Kind, selector labels.Selector, namespaces []string) ([]Object, error) {
	objects, err := r.in(ctx, kind, "", selector)
	if !apierrors.IsForbidden(err) {
		return objects, err
	}
	if !kind.Namespaced {
		return nil, nil
	}
	namespaces = slices.Compact(slices.Sorted(slices.Values(namespaces)))
	for _, ns := range namespaces {
		if ns == "" {
			continue
		}
		more, err := r.in(ctx, kind, ns, selector)
		if err != nil && !apierrors.IsForbidden(err) {
			return nil, err
		}
		objects = append(objects, more...)
	}
	return objects, nil
}

func (r *Reader) in(ctx context.Context, kind Kind, namespace string, selector labels.Selector) ([]Object, error) {
	list, err := r.client.Resource(kind.GroupVersionResource).Namespace(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	switch {
	case apierrors.IsNotFound(err), apierrors.IsMethodNotSupported(err):
		return nil, nil
	case apierrors.IsForbidden(err):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("list of %s: %w", kind.GroupResource(), err)
	}
	objects := make([]Object, 0, len(list.Items))
	for i := range list.Items {
		// Not all extension API servers heed selectors.
		if item := &list.Items[i]; selector.Matches(labels.Set(item.Labels)) {
			objects = append(objects, Object{Kind: kind, PartialObjectMetadata: item})
		}
	}
	return objects, nil
}

// manyNames is the number of objects up to which a list of names is cheaper than asking for some.
const manyNames = 500

// Names returns the names of a kind's objects in a namespace, whoever they belong to. whole is false if
// there are so many that they weren't all listed.
func (r *Reader) Names(ctx context.Context, gvr schema.GroupVersionResource, namespace string) (names map[string]bool, whole bool, err error) {
	list, err := r.client.Resource(gvr).Namespace(namespace).List(ctx, metav1.ListOptions{Limit: manyNames})
	if err != nil {
		return nil, false, fmt.Errorf("list of %s: %w", gvr.GroupResource(), err)
	}
	names = make(map[string]bool, len(list.Items))
	for i := range list.Items {
		names[list.Items[i].Name] = true
	}
	return names, list.Continue == "", nil
}
