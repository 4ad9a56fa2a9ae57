package kube

import (
	"context"
	"fmt"
	"maps"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"strake.dev/strake/stages"
)

// Objects finds the Secrets and ConfigMaps of a namespace. It is a [stages.Objects].
type Objects struct {
	cluster   *Cluster
	namespace string
}

var _ stages.Objects = Objects{}

// Objects returns the lookup of Secrets and ConfigMaps in a namespace.
func (c *Cluster) Objects(namespace string) Objects { return Objects{c, namespace} }

// Secret returns the decoded data of a Secret; the error wraps [stages.ErrNoObject] if there is none.
func (o Objects) Secret(ctx context.Context, name string) (map[string][]byte, error) {
	client, err := o.cluster.client(ctx)
	if err != nil {
		return nil, err
	}
	s, err := client.CoreV1().Secrets(o.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, o.err("Secret", name, err)
	}
	return s.Data, nil
}

// ConfigMap returns the data of a ConfigMap; the error wraps [stages.ErrNoObject] if there is none.
func (o Objects) ConfigMap(ctx context.Context, name string) (map[string][]byte, error) {
	client, err := o.cluster.client(ctx)
	if err != nil {
		return nil, err
	}
	m, err := client.CoreV1().ConfigMaps(o.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, o.err("ConfigMap", name, err)
	}
	data := make(map[string][]byte, len(m.Data)+len(m.BinaryData))
	for k, v := range m.Data {
		data[k] = []byte(v)
	}
	maps.Copy(data, m.BinaryData)
	return data, nil
}

func (o Objects) err(kind, name string, err error) error {
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("%s %s/%s at %s: %w", kind, o.namespace, name, o.cluster.Host(), stages.ErrNoObject)
	}
	return fmt.Errorf("%s %s/%s: %w", kind, o.namespace, name, o.cluster.Explain(err))
}
