package kube

import (
	"context"
	"net/url"
	"sync"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Options say which cluster is meant and how to talk to it. The zero value means what kubectl
// without flags means.
type Options struct {
	// Kubeconfig is a file that is used instead of KUBECONFIG and ~/.kube/config.
	Kubeconfig string
	// Context is a context of the kubeconfig that is used instead of its current one.
	Context string
	// UserAgent names the program to API servers; empty is client-go's default.
	UserAgent string
}

// A Cluster is an API server together with the identity to use there. It is safe for concurrent use.
type Cluster struct {
	opts Options
	// load finds server and identity, once.
	load func() (access, error)

	mu sync.Mutex
	// accounts are the identities made by [Cluster.ServiceAccount].
	accounts map[account]issued
}

// access is what a [Cluster] knows once it is used.
type access struct {
	config *rest.Config
	// namespace is the one that the kubeconfig's context prefers; it may be empty.
	namespace string
	// origin says where server and identity come from, for messages.
	origin string
}

// New returns the cluster that the options and the environment name. Nothing is read yet.
func New(opts Options) *Cluster {
	return newCluster(opts, func() (access, error) { return find(opts) })
}

func newCluster(opts Options, load func() (access, error)) *Cluster {
	return &Cluster{
		opts:     opts,
		accounts: map[account]issued{},
		load: sync.OnceValues(func() (access, error) {
			a, err := load()
			if err != nil {
				return access{}, err
			}
			// The server has its own fairness limits; client-go's make hundreds of objects take minutes.
			a.config.QPS, a.config.Burst = -1, -1
			if opts.UserAgent != "" {
				a.config.UserAgent = opts.UserAgent
			}
			// Without a handler client-go writes the server's warnings to standard error.
			a.config.WarningHandler = rest.NoWarnings{}
			if a.config.ExecProvider != nil {
				a.config.ExecProvider.StdinUnavailable = true
				a.config.ExecProvider.StdinUnavailableMessage = "strake doesn't ask for credentials; log in first"
			}
			return a, nil
		}),
	}
}

// Config returns a configuration for client-go of which every request fails once ctx has ended. The
// caller may change it. The server's warnings are dropped and the rate of requests isn't limited
// unless the caller sets that.
func (c *Cluster) Config(ctx context.Context) (*rest.Config, error) {
	a, err := c.load()
	if err != nil {
		return nil, err
	}
	config := rest.CopyConfig(a.config)
	config.Wrap(bound(ctx))
	return config, nil
}

// client returns a typed client bound to ctx.
func (c *Cluster) client(ctx context.Context) (kubernetes.Interface, error) {
	config, err := c.Config(ctx)
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

// Host is the API server's URL, for messages; it is empty when there is no usable kubeconfig.
func (c *Cluster) Host() string {
	a, err := c.load()
	if err != nil {
		return ""
	}
	return withoutUser(a.config.Host)
}

// Namespace is the one that the kubeconfig's context prefers; it may be empty.
func (c *Cluster) Namespace() string {
	a, err := c.load()
	if err != nil {
		return ""
	}
	return a.namespace
}

// withoutUser takes a user and password out of a URL.
func withoutUser(host string) string {
	u, err := url.Parse(host)
	if err != nil || u.User == nil {
		return host
	}
	u.User = nil
	return u.String()
}
