package live

import (
	"context"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
)

// A Mirror keeps a copy of the objects of the kinds that it follows, by watches, so that waiting for
// them costs no requests and ends at once. It is safe for concurrent use.
type Mirror struct {
	ctx        context.Context
	cancel     context.CancelFunc
	running    sync.WaitGroup
	client     dynamic.Interface
	selector   labels.Selector
	namespaces []string
	changed    func(*unstructured.Unstructured)

	mu      sync.Mutex
	follows map[Kind]*follow
	objects map[Key]*unstructured.Unstructured
	// gone are the UIDs of objects that were there: an earlier event of theirs may still be on its way.
	gone map[string]bool
}

// A follow is the watching of one kind.
type follow struct {
	once sync.Once
	// works is set once it is known: whether the kind may be watched.
	works bool
}

// NewMirror returns a mirror of objects that a selector matches. Kinds that may not be watched in the
// whole cluster are watched in each of the namespaces. changed is told of each object that has changed
// or is gone; it must return quickly. The caller calls Close.
func NewMirror(ctx context.Context, client dynamic.Interface, selector labels.Selector, namespaces []string, changed func(*unstructured.Unstructured)) *Mirror {
	m := &Mirror{
		client: client, selector: selector, namespaces: namespaces, changed: changed,
		follows: map[Kind]*follow{}, objects: map[Key]*unstructured.Unstructured{}, gone: map[string]bool{},
	}
	m.ctx, m.cancel = context.WithCancel(ctx)
	return m
}

// Close ends all watches.
func (m *Mirror) Close() {
	m.cancel()
	m.running.Wait()
}

// Follow makes the mirror keep the objects of a kind, and returns once it does. It returns false if
// they may not be watched.
func (m *Mirror) Follow(kind Kind) bool {
	m.mu.Lock()
	f := m.follows[kind]
	if f == nil {
		f = &follow{}
		m.follows[kind] = f
	}
	m.mu.Unlock()
	f.once.Do(func() {
		works := m.watch(kind, "") || kind.Namespaced && len(m.namespaces) > 0 && m.watchAll(kind)
		m.mu.Lock()
		f.works = works
		m.mu.Unlock()
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	return f.works
}

func (m *Mirror) watchAll(kind Kind) bool {
	for _, ns := range m.namespaces {
		if !m.watch(kind, ns) {
			return false
		}
	}
	return true
}

// watch starts to watch a kind in a namespace, and returns once the present objects are known.
func (m *Mirror) watch(kind Kind, namespace string) bool {
	client := m.client.Resource(kind.GroupVersionResource).Namespace(namespace)
	list := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			opts.LabelSelector = m.selector.String()
			return client.List(ctx, opts)
		},
		WatchFuncWithContext: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			opts.LabelSelector = m.selector.String()
			return client.Watch(ctx, opts)
		},
	}
	ctx, cancel := context.WithCancel(m.ctx)
	refused := false
	informer := cache.NewSharedIndexInformer(list, &unstructured.Unstructured{}, 0, nil)
	// Both fail only for an informer that runs.
	_ = informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
		if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
			m.mu.Lock()
			refused = true
			m.mu.Unlock()
			cancel()
		}
	})
	handler, _ := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { m.saw(kind, o) },
		UpdateFunc: func(_, o any) { m.saw(kind, o) },
		DeleteFunc: func(o any) { m.lost(kind, o) },
	})
	m.running.Go(func() { informer.RunWithContext(ctx) })
	select {
	case <-handler.HasSyncedChecker().Done():
		return true
	case <-ctx.Done():
		m.mu.Lock()
		defer m.mu.Unlock()
		return !refused
	}
}

// Get returns the copy of an object, nil if it isn't there. known is false if the kind isn't followed.
// The copy must not be changed.
func (m *Mirror) Get(kind Kind, namespace, name string) (o *unstructured.Unstructured, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.follows[kind]
	if f == nil || !f.works {
		return nil, false
	}
	return m.objects[key(kind, namespace, name)], true
}

// List returns the copies of those of a followed kind's objects that a selector matches.
func (m *Mirror) List(kind Kind, selector labels.Selector) []*unstructured.Unstructured {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []*unstructured.Unstructured
	for k, o := range m.objects {
		if k.Group == kind.Group && k.Resource == kind.Resource && selector.Matches(labels.Set(o.GetLabels())) {
			found = append(found, o)
		}
	}
	return found
}

// Wrote tells the mirror of an object as a write has left it, of which the watch may not know yet.
func (m *Mirror) Wrote(kind Kind, o *unstructured.Unstructured) { m.take(kind, o) }

// Deleted tells the mirror that an object is gone.
func (m *Mirror) Deleted(kind Kind, namespace, name, uid string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gone[uid] = true
	k := key(kind, namespace, name)
	if o := m.objects[k]; o != nil && string(o.GetUID()) == uid {
		delete(m.objects, k)
	}
}

// Gone tells whether an object that was there is gone.
func (m *Mirror) Gone(uid string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.gone[uid]
}

func key(kind Kind, namespace, name string) Key {
	return Key{Group: kind.Group, Resource: kind.Resource, Namespace: namespace, Name: name}
}

func (m *Mirror) saw(kind Kind, o any) {
	if u, ok := o.(*unstructured.Unstructured); ok && m.take(kind, u) {
		m.changed(u)
	}
}

// take keeps an object if it is newer than what is known.
func (m *Mirror) take(kind Kind, o *unstructured.Unstructured) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone[string(o.GetUID())] {
		return false
	}
	k := key(kind, o.GetNamespace(), o.GetName())
	if have := m.objects[k]; have != nil && newer(have.GetResourceVersion(), o.GetResourceVersion()) {
		return false
	}
	m.objects[k] = o
	return true
}

func (m *Mirror) lost(kind Kind, o any) {
	if last, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = last.Obj
	}
	u, ok := o.(*unstructured.Unstructured)
	if !ok {
		return
	}
	m.Deleted(kind, u.GetNamespace(), u.GetName(), string(u.GetUID()))
	m.changed(u)
}

// newer tells whether version a is later than b, as far as it can be told.
func newer(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order > 0
}

// Newer tells whether a copy of an object isn't older than another.
func Newer(o, than *unstructured.Unstructured) bool {
	return o.GetUID() != than.GetUID() || !newer(than.GetResourceVersion(), o.GetResourceVersion())
}
