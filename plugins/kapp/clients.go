package kapp

import (
	"context"
	"net/http"
	"sync"

	cmdcore "carvel.dev/kapp/pkg/kapp/cmd/core"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"strake.dev/strake/internal/kube"
	"strake.dev/strake/stages"
)

// clients give kapp's library its access to the cluster: with our identity, bound to our context,
// over one pool of connections.
type clients struct {
	config *rest.Config
	http   *http.Client
	core   kubernetes.Interface
	types  *types
	events stages.Observer
}

var _ cmdcore.DepsFactory = (*clients)(nil)

func newClients(ctx context.Context, cluster *kube.Cluster, f *flags, events stages.Observer) (*clients, error) {
	config, err := cluster.Config(ctx)
	if err != nil {
		return nil, err
	}
	if f.qps > 0 {
		config.QPS, config.Burst = f.qps, max(f.burst, 1)
	}
	c := &clients{config: config, events: events}
	if c.http, err = rest.HTTPClientFor(config); err != nil {
		return nil, err
	}
	if c.core, err = kubernetes.NewForConfigAndClient(config, c.http); err != nil {
		return nil, err
	}
	c.config.WarningHandler = &warnings{events: events}
	c.types, err = loadTypes(c.core.Discovery())
	if err != nil {
		return nil, cluster.Explain(err)
	}
	return c, nil
}

// DynamicClient returns a client for objects of any type.
func (c *clients) DynamicClient(opts cmdcore.DynamicClientOpts) (dynamic.Interface, error) {
	config := rest.CopyConfig(c.config)
	if !opts.Warnings {
		config.WarningHandler = rest.NoWarnings{}
	}
	return dynamic.NewForConfigAndClient(config, c.http)
}

// CoreClient returns a client for the built-in types, whose first question for the server's types is
// answered from what is known already.
func (c *clients) CoreClient() (kubernetes.Interface, error) {
	known := &knowingDiscovery{DiscoveryInterfaces: c.core.Discovery(), known: c.types}
	return knowingClient{podClient{c.core, c.events}, known}, nil
}

// RESTMapper maps types to paths.
func (c *clients) RESTMapper() (meta.RESTMapper, error) {
	return restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(c.core.Discovery())), nil
}

// ConfigureWarnings is for kapp's own flag, which isn't offered here: warnings are always events.
func (c *clients) ConfigureWarnings(bool) {}

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
