package kube

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// FromSecret returns the cluster of the kubeconfig in a Secret.
func (c *Cluster) FromSecret(ctx context.Context, objects stages.Objects, ref schema.SecretKeyRef) (*Cluster, error) {
	where := fmt.Sprintf("cluster.kubeconfigSecretRef: Secret %s", ref.Name)
	data, err := objects.Secret(ctx, ref.Name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	kubeconfig, ok := data[ref.Key]
	if !ok {
		return nil, stages.WithHint(fmt.Errorf("%s has no key %q", where, ref.Key),
			"its keys: %s", strings.Join(slices.Sorted(maps.Keys(data)), ", "))
	}
	return c.WithKubeconfig(kubeconfig, fmt.Sprintf("Secret %s, key %s", ref.Name, ref.Key))
}

// Target tells about the cluster that an App is deployed to: the one whose kubeconfig the App names,
// or else c. Nothing is asked yet.
func (c *Cluster) Target(app stages.App, objects stages.Objects) stages.Target {
	return &target{cluster: c, app: app, objects: objects}
}

// A target asks once; a question that failed is asked again.
type target struct {
	cluster *Cluster
	app     stages.App
	objects stages.Objects

	mu       sync.Mutex
	version  string
	versions []string
}

// find returns the cluster. A service account has no part in it: it may not ask more than its maker.
func (t *target) find(ctx context.Context) (*Cluster, error) {
	if other := t.app.Cluster; other != nil {
		return t.cluster.FromSecret(ctx, t.objects, *other.KubeconfigSecretRef)
	}
	return t.cluster, nil
}

// plainVersion is the part of a version that is the same with all vendors, as in v1.36.3-gke.100.
var plainVersion = regexp.MustCompile(`^v?(\d+\.\d+\.\d+)`)

func (t *target) Version(ctx context.Context) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.version != "" {
		return t.version, nil
	}
	c, err := t.find(ctx)
	if err != nil {
		return "", err
	}
	client, err := c.client(ctx)
	if err != nil {
		return "", err
	}
	found, err := client.Discovery().ServerVersion()
	if err != nil {
		return "", fmt.Errorf("version of Kubernetes: %w", c.Explain(err))
	}
	plain := plainVersion.FindStringSubmatch(found.GitVersion)
	if plain == nil {
		return "", fmt.Errorf("version of Kubernetes: API server %s calls it %q, expected one such as v1.36.3", c.Host(), found.GitVersion)
	}
	t.version = plain[1]
	return t.version, nil
}

func (t *target) GroupVersions(ctx context.Context) ([]string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.versions != nil {
		return t.versions, nil
	}
	c, err := t.find(ctx)
	if err != nil {
		return nil, err
	}
	client, err := c.client(ctx)
	if err != nil {
		return nil, err
	}
	groups, err := client.Discovery().ServerGroups()
	if err != nil {
		return nil, fmt.Errorf("APIs of Kubernetes: %w", c.Explain(err))
	}
	t.versions = metav1.ExtractGroupVersions(groups)
	return t.versions, nil
}
