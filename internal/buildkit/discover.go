package buildkit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"strake.dev/strake/internal/kube"
	"strake.dev/strake/stages"
)

// DefaultSelector matches the pods of BuildKit daemons that carry the label that Kubernetes
// recommends for a program's name.
const DefaultSelector = "app.kubernetes.io/name=buildkitd"

const (
	// askedTimeout is how long looking for pods may take that an App asks for.
	askedTimeout = 10 * time.Second
	// unaskedTimeout is how long it may take when nobody has said anything about BuildKit.
	unaskedTimeout = 5 * time.Second
)

// Pods say which pods of the cluster are BuildKit daemons.
type Pods struct {
	// Selector is a label selector; empty is [DefaultSelector].
	Selector string
	// Namespace is the only one to look in. Empty means all of them, or where they may not be listed,
	// the App's.
	Namespace string
	// Container is the one with the daemon; it may be empty if pods have only one.
	Container string
	// Port is where the daemon listens, to be reached by a port-forward. 0 means that “buildctl
	// dial-stdio” is run in the container, as kube-pod:// does.
	Port int
}

// discover looks for daemons that run as pods, and returns their addresses.
func (c *Client) discover(ctx context.Context, app Choice) ([]string, error) {
	pods, limit := app.Pods, askedTimeout
	if pods == nil {
		// Whoever may make pods elsewhere must not get sources and credentials by a label.
		pods, limit = &Pods{Namespace: c.ownNamespace(app)}, unaskedTimeout
	}
	selector := pods.Selector
	if selector == "" {
		selector = DefaultSelector
	}
	found, err := c.ready(ctx, limit, pods.Namespace, app.Namespace, selector)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err == nil && len(found) == 0 {
		where := "in the cluster"
		if pods.Namespace != "" {
			where = "in namespace " + pods.Namespace
		}
		err = fmt.Errorf("no pod %s with the labels %s is ready", where, selector)
	}
	switch {
	case err != nil && app.Pods == nil:
		return nil, stages.WithHint(fmt.Errorf("no BuildKit daemon is known to build with: none is named, and %w", err), "%s", addressHint)
	case err != nil:
		return nil, fmt.Errorf("BuildKit daemons can't be looked for: %w", err)
	}
	addresses := make([]string, len(found))
	for i, pod := range found {
		pod.Container = pods.Container
		addresses[i] = podAddress(pod, pods.Port)
	}
	return addresses, nil
}

// ownNamespace is the App's, or else the kubeconfig's.
func (c *Client) ownNamespace(app Choice) string {
	if app.Namespace != "" || c.opts.Cluster == nil {
		return app.Namespace
	}
	return cmp.Or(c.opts.Cluster.Namespace(), "default")
}

var errSilent = errors.New("no answer in time")

// ready lists the pods of one namespace, or of all, or of the App's.
func (c *Client) ready(ctx context.Context, limit time.Duration, namespace, own, selector string) ([]kube.Pod, error) {
	if c.opts.Cluster == nil {
		return nil, errors.New("no Kubernetes cluster is configured")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errSilent)
	defer cancel()
	type answer struct {
		pods []kube.Pod
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		pods, err := c.opts.Cluster.ReadyPods(ctx, namespace, selector)
		if namespace == "" && own != "" && apierrors.IsForbidden(err) {
			pods, err = c.opts.Cluster.ReadyPods(ctx, own, selector)
		}
		answers <- answer{pods, err}
	}()
	// A program that a kubeconfig has for logging in knows of no context.
	select {
	case a := <-answers:
		if a.err == nil || ctx.Err() == nil {
			return a.pods, a.err
		}
	case <-ctx.Done():
	}
	if errors.Is(context.Cause(ctx), errSilent) {
		return nil, fmt.Errorf("the cluster at %s doesn't answer within %s", c.opts.Cluster.Host(), limit)
	}
	return nil, ctx.Err()
}
