package kapp

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"strake.dev/strake/internal/kube"
)

// An apiProxy stands between a test and the API server: it counts requests, and does what it is told to
// them.
type apiProxy struct {
	requests atomic.Int64
	server   *httptest.Server
	next     http.Handler

	mu sync.Mutex
	// disturb, if set, may answer a request instead of the server; it returns false to let it through.
	disturb func(http.ResponseWriter, *http.Request) bool
}

// proxied lets the place's requests, and those of kapp, go through a proxy.
func (p *place) proxied() *apiProxy {
	p.t.Helper()
	config, err := kube.New(kube.Options{}).Config(context.Background())
	if err != nil {
		p.t.Fatal(err)
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		p.t.Fatal(err)
	}
	target, err := url.Parse(config.Host)
	if err != nil {
		p.t.Fatal(err)
	}
	reverse := httputil.NewSingleHostReverseProxy(target)
	reverse.Transport, reverse.FlushInterval = transport, -1
	reverse.ErrorLog = log.New(io.Discard, "", 0)
	proxy := &apiProxy{next: reverse}
	proxy.server = httptest.NewServer(proxy)
	p.t.Cleanup(proxy.server.Close)

	file := filepath.Join(p.t.TempDir(), "kubeconfig")
	c := api.NewConfig()
	c.Clusters["c"] = &api.Cluster{Server: proxy.server.URL}
	c.Contexts["c"] = &api.Context{Cluster: "c"}
	c.CurrentContext = "c"
	if err := clientcmd.WriteToFile(*c, file); err != nil {
		p.t.Fatal(err)
	}
	p.deps.Cluster = kube.New(kube.Options{Kubeconfig: file, UserAgent: p.agent})
	p.kubeconfig = file
	return proxy
}

func (x *apiProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x.requests.Add(1)
	x.mu.Lock()
	disturb := x.disturb
	x.mu.Unlock()
	if disturb != nil && disturb(w, r) {
		return
	}
	x.next.ServeHTTP(w, r)
}

// set sets what is done to requests from now on.
func (x *apiProxy) set(disturb func(http.ResponseWriter, *http.Request) bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.disturb = disturb
}
