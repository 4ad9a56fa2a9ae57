// Package follow follows the pods of an app while they come and go: what they log, and ports of them.
package follow

import (
	"context"
	"fmt"
	"sync"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"strake.dev/strake/stages"
)

// Pods are those of an app: its own, and those that the cluster's controllers make for its objects. Each
// namespace that has some is watched.
type Pods struct {
	ctx    context.Context
	end    context.CancelFunc
	work   sync.WaitGroup
	client kubernetes.Interface
	seen   func(*core.Pod)
	warn   func(error)

	mu sync.Mutex
	// own are the app's objects, and owners says of others whether they belong to them.
	own, owners map[types.UID]bool
	// stores hold the pods of a namespace.
	stores map[string]cache.Store
}

// NewPods returns the pods of no app yet. seen is told of each of the app's pods when it comes or changes, warn
// of what can't be followed. The caller calls Close.
func NewPods(ctx context.Context, client kubernetes.Interface, seen func(*core.Pod), warn func(error)) *Pods {
	ctx, end := context.WithCancel(ctx)
	return &Pods{
		ctx: ctx, end: end, client: client, seen: seen, warn: warn,
		own: map[types.UID]bool{}, owners: map[types.UID]bool{}, stores: map[string]cache.Store{},
	}
}

// Close ends all watches.
func (p *Pods) Close() {
	p.end()
	p.work.Wait()
}

// Set says which objects the app has now.
func (p *Pods) Set(objects []stages.Object) {
	p.mu.Lock()
	p.own, p.owners = map[types.UID]bool{}, map[types.UID]bool{}
	var namespaces []string
	for _, o := range objects {
		p.own[types.UID(o.UID)] = true
		if o.Namespace != "" && p.stores[o.Namespace] == nil {
			p.stores[o.Namespace] = cache.NewStore(cache.MetaNamespaceKeyFunc) // until it is watched
			namespaces = append(namespaces, o.Namespace)
		}
	}
	var known []*core.Pod
	for _, s := range p.stores {
		for _, o := range s.List() {
			known = append(known, o.(*core.Pod))
		}
	}
	p.mu.Unlock()
	for _, pod := range known {
		p.take(pod)
	}
	for _, ns := range namespaces {
		p.watch(ns)
	}
}

// watch watches the pods of a namespace.
func (p *Pods) watch(namespace string) {
	list := cache.NewListWatchFromClient(p.client.CoreV1().RESTClient(), "pods", namespace, fields.Everything())
	informer := cache.NewSharedIndexInformer(list, &core.Pod{}, 0, nil)
	told := sync.Once{}
	// Both fail only for an informer that runs.
	_ = informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
		if p.ctx.Err() == nil {
			told.Do(func() { p.warn(fmt.Errorf("pods of namespace %s can't be followed: %w", namespace, err)) })
		}
	})
	take := func(o any) {
		if pod, ok := o.(*core.Pod); ok {
			p.take(pod)
		}
	}
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: take, UpdateFunc: func(_, o any) { take(o) }})
	p.mu.Lock()
	p.stores[namespace] = informer.GetStore()
	p.mu.Unlock()
	p.work.Go(func() { informer.RunWithContext(p.ctx) })
}

// take tells of a pod if it is the app's.
func (p *Pods) take(pod *core.Pod) {
	if p.mine(pod.Namespace, &pod.ObjectMeta, maxOwners) {
		p.seen(pod)
	}
}

// maxOwners is how many controllers may stand between a pod and an object of the app.
const maxOwners = 3

// mine tells whether an object is the app's, or made for one that is.
func (p *Pods) mine(namespace string, o *metav1.ObjectMeta, depth int) bool {
	owner := metav1.GetControllerOf(o)
	p.mu.Lock()
	if p.own[o.UID] || owner != nil && p.own[owner.UID] {
		p.mu.Unlock()
		return true
	}
	if owner == nil || depth == 0 {
		p.mu.Unlock()
		return false
	}
	is, known := p.owners[owner.UID]
	p.mu.Unlock()
	if known {
		return is
	}
	above := p.read(namespace, owner)
	is = above != nil && above.UID == owner.UID && p.mine(namespace, above, depth-1)
	if p.ctx.Err() == nil {
		p.mu.Lock()
		p.owners[owner.UID] = is
		p.mu.Unlock()
	}
	return is
}

// read returns the metadata of an owner that Kubernetes' own controllers have made; nil for others.
func (p *Pods) read(namespace string, owner *metav1.OwnerReference) *metav1.ObjectMeta {
	switch owner.Kind {
	case "ReplicaSet":
		if o, err := p.client.AppsV1().ReplicaSets(namespace).Get(p.ctx, owner.Name, metav1.GetOptions{}); err == nil {
			return &o.ObjectMeta
		}
	case "Job":
		if o, err := p.client.BatchV1().Jobs(namespace).Get(p.ctx, owner.Name, metav1.GetOptions{}); err == nil {
			return &o.ObjectMeta
		}
	}
	return nil
}

// Get returns a pod as it is now; nil if it is gone.
func (p *Pods) Get(namespace, name string) *core.Pod {
	p.mu.Lock()
	store := p.stores[namespace]
	p.mu.Unlock()
	if store == nil {
		return nil
	}
	o, ok, err := store.GetByKey(namespace + "/" + name)
	if err != nil || !ok {
		return nil
	}
	return o.(*core.Pod)
}
