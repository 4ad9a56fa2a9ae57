package kapp

import (
	"context"
	"net/http"
	"sync"

	cmdcore "carvel.dev/kapp/pkg/kapp/cmd/core"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"strake.dev/strake/internal/kube"
	"strake.dev/strake/internal/live"
	"strake.dev/strake/stages"
)

// clients are the access to the cluster: with our identity, bound to our context, over one pool of
// connections. They also are what kapp's own checks get their access from.
type clients struct {
	config  *rest.Config
	http    *http.Client
	core    kubernetes.Interface
	dynamic dynamic.Interface
	meta    *live.Reader
	types   *types
	events  stages.Observer
}

var _ cmdcore.DepsFactory = (*clients)(nil)

// connect makes the clients ready for use. It makes no request.
func (c *clients) connect(ctx context.Context, cluster *kube.Cluster, f *flags, events stages.Observer) (err error) {
	if c.config, err = cluster.Config(ctx); err != nil {
		return err
	}
	if f.qps > 0 {
		c.config.QPS, c.config.Burst = f.qps, max(f.burst, 1)
	}
	c.events = events
	c.config.WarningHandler = &warnings{events: events}
	if c.http, err = rest.HTTPClientFor(c.config); err != nil {
		return err
	}
	if c.core, err = kubernetes.NewForConfigAndClient(c.config, c.http); err != nil {
		return err
	}
	if c.dynamic, err = dynamic.NewForConfigAndClient(c.config, c.http); err != nil {
		return err
	}
	quiet := rest.CopyConfig(c.config)
	quiet.WarningHandler = rest.NoWarnings{}
	if c.meta, err = live.NewReader(quiet, c.http); err != nil {
		return err
	}
	known, err := cluster.Discovery(ctx)
	if err != nil {
		return err
	}
	c.types = &types{discovery: known}
	return nil
}

// DynamicClient returns a client for objects of any type.
func (c *clients) DynamicClient(opts cmdcore.DynamicClientOpts) (dynamic.Interface, error) {
	if opts.Warnings {
		return c.dynamic, nil
	}
	config := rest.CopyConfig(c.config)
	config.WarningHandler = rest.NoWarnings{}
	return dynamic.NewForConfigAndClient(config, c.http)
}

// CoreClient returns a client for the built-in types.
func (c *clients) CoreClient() (kubernetes.Interface, error) { return c.core, nil }

// RESTMapper maps types to paths.
func (c *clients) RESTMapper() (meta.RESTMapper, error) {
	return restmapper.NewDeferredDiscoveryRESTMapper(c.types.discovery), nil
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
