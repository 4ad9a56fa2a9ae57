package ssa

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"

	fluxssa "github.com/fluxcd/pkg/ssa"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"strake.dev/strake/internal/kube"
	"strake.dev/strake/internal/lease"
	"strake.dev/strake/internal/live"
	"strake.dev/strake/stages"
)

// atOnce is how many objects are read or written at the same time.
const atOnce = 16

// A session is one call of the plugin: one app, one place, one set of clients.
type session struct {
	// ctx ends the call, and all requests of the clients with it.
	ctx    context.Context
	cancel context.CancelCauseFunc
	job    *stages.Job
	config Config
	place  kube.Place
	// app is the name of the app, and of its inventory.
	app string

	http    *http.Client
	core    kubernetes.Interface
	dynamic dynamic.Interface
	meta    *live.Reader
	mapper  meta.ResettableRESTMapper
	// outOfDate is set when the server doesn't serve a type that kubectl's cache of types has, as its definition was
	// deleted since; asked, when the server was asked anew therefore.
	outOfDate, asked atomic.Bool
	// client is what the library makes its requests with.
	client  *recorder
	manager *fluxssa.ResourceManager
	// order tells of what is applied; it is there once something is about to be.
	order *sequence
}

// begin finds out place and identity. Nothing but what that takes is asked. The caller calls end.
func (s *step) begin(ctx context.Context, job *stages.Job) (*session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	place, err := s.cluster.Place(ctx, job.App, job.Objects)
	if err != nil {
		return nil, stopped(ctx, err)
	}
	ses := &session{job: job, config: s.config, place: place, app: job.App.Name}
	ses.ctx, ses.cancel = context.WithCancelCause(ctx)
	if err := ses.connect(); err != nil {
		ses.cancel(nil)
		return nil, err
	}
	return ses, nil
}

// end ends what may still be under way.
func (s *session) end() { s.cancel(nil) }

// connect makes the clients, over one pool of connections.
func (s *session) connect() error {
	config, err := s.place.Cluster.Config(s.ctx)
	if err != nil {
		return err
	}
	config.Wrap(patient)
	if s.http, err = rest.HTTPClientFor(config); err != nil {
		return err
	}
	if s.core, err = kubernetes.NewForConfigAndClient(config, s.http); err != nil {
		return err
	}
	if s.dynamic, err = dynamic.NewForConfigAndClient(config, s.http); err != nil {
		return err
	}
	if s.meta, err = live.NewReader(config, s.http); err != nil {
		return err
	}
	discovery, err := s.place.Cluster.Discovery(s.ctx)
	if err != nil {
		return err
	}
	s.mapper = restmapper.NewDeferredDiscoveryRESTMapper(discovery)
	config.WarningHandler = &warnings{events: s.job.Events}
	raw, err := client.New(config, client.Options{HTTPClient: s.http, Mapper: s.mapper})
	if err != nil {
		return err
	}
	s.client = newRecorder(raw, s.config.Conflicts == forceConflicts)
	s.manager = fluxssa.NewResourceManager(s.client, nil, fluxssa.Owner{Field: s.config.FieldManager, Group: ownerGroup})
	return nil
}

// kind is how requests name a type. The error is a [*meta.NoKindMatchError] if the server has no such
// type, also when asked anew.
func (s *session) kind(gvk schema.GroupVersionKind) (live.Kind, error) {
	pause := firstPause
	m, err := s.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	for n := 1; n < tries && err != nil && (apierrors.IsServiceUnavailable(err) || apierrors.IsTooManyRequests(err)) && pauseFor(s.ctx, pause); n++ {
		m, err = s.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
		pause *= 2
	}
	if err != nil {
		return live.Kind{}, err
	}
	return live.Kind{GroupVersionResource: m.Resource, Namespaced: m.Scope.Name() == meta.RESTScopeNameNamespace}, nil
}

// own selects the app's objects.
func (s *session) own() labels.Selector {
	return labels.SelectorFromSet(s.manager.GetOwnerLabels(s.app, s.place.Record))
}

// describe names the inventory for people.
func (s *session) describe() string {
	return fmt.Sprintf("inventory %s in namespace %s", s.app, s.place.Record)
}

// stopped replaces an error by that of the context if that has ended, or by the loss of the lock that has
// ended it: whatever else is said then is a consequence.
func stopped(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); {
	case err == nil || cause == nil:
		return err
	case errors.Is(cause, lease.ErrLost):
		return cause
	}
	return ctx.Err()
}

// warnings tells each warning of the API server once.
type warnings struct {
	events stages.Observer
	seen   sync.Map
}

func (w *warnings) HandleWarningHeader(code int, _, message string) {
	const miscellaneous = 299 // the only code that API servers use
	if code != miscellaneous || message == "" {
		return
	}
	if _, again := w.seen.LoadOrStore(message, true); !again {
		stages.Warn(w.events, "API server: "+message)
	}
}
