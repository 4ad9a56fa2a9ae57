package kube

import (
	"context"
	"fmt"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"strake.dev/strake/stages"
)

// A Pod is the place of a program in a cluster.
type Pod struct {
	// Namespace may be empty where a pod is asked for: it is that of the kubeconfig's context then, or
	// else “default”, as with kubectl.
	Namespace string
	Name      string
	// Container may be empty if the pod has only one.
	Container string
}

// CheckSelector tells whether a label selector has a form that API servers understand.
func CheckSelector(selector string) error {
	if _, err := labels.Parse(selector); err != nil {
		return stages.WithHint(fmt.Errorf("label selector %q: %w", selector, err), "for example app.kubernetes.io/name=buildkitd,tier!=test")
	}
	return nil
}

// ReadyPods returns the pods that match a label selector, run, and are ready, sorted by namespace and
// name. An empty namespace means all of them.
func (c *Cluster) ReadyPods(ctx context.Context, namespace, selector string) ([]Pod, error) {
	client, err := c.client(ctx)
	if err != nil {
		return nil, err
	}
	list, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		where := "of all namespaces"
		if namespace != "" {
			where = "of namespace " + namespace
		}
		err = fmt.Errorf("pods %s at %s: %w", where, c.Host(), c.Explain(err))
		if apierrors.IsForbidden(err) {
			return nil, stages.WithHint(err, "the identity needs the right to list pods there")
		}
		return nil, err
	}
	var pods []Pod
	for i := range list.Items {
		if p := &list.Items[i]; Ready(p) {
			pods = append(pods, Pod{Namespace: p.Namespace, Name: p.Name})
		}
	}
	return pods, nil
}

// Ready tells whether a pod runs and is ready, and isn't about to go.
func Ready(p *core.Pod) bool {
	if p.Status.Phase != core.PodRunning || p.DeletionTimestamp != nil {
		return false
	}
	for _, c := range p.Status.Conditions {
		if c.Type == core.PodReady {
			return c.Status == core.ConditionTrue
		}
	}
	return false
}

// WithContext returns the cluster of another context of the user's kubeconfig; an empty name is c.
func (c *Cluster) WithContext(name string) *Cluster {
	if name == "" {
		return c
	}
	opts := c.opts
	opts.Context = name
	return New(opts)
}

// in returns the namespace to look for a pod in.
func (c *Cluster) in(p Pod) string {
	for _, namespace := range []string{p.Namespace, c.Namespace()} {
		if namespace != "" {
			return namespace
		}
	}
	return metav1.NamespaceDefault
}
