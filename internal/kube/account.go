package kube

import (
	"context"
	"fmt"
	"time"

	authentication "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"strake.dev/strake/stages"
)

const (
	// tokenLife is what kapp-controller asks for.
	tokenLife = 2 * time.Hour
	// tokenReserve is the least that a token handed out again has to last.
	tokenReserve = time.Hour
)

type account struct{ namespace, name string }

type issued struct {
	cluster *Cluster
	until   time.Time
}

// ServiceAccount returns the same cluster with the identity of a service account and nothing of the
// present one, which has to be allowed to create a token for it. It asks the API server, and hands
// out the same identity again as long as its token has enough time left.
func (c *Cluster) ServiceAccount(ctx context.Context, namespace, name string) (*Cluster, error) {
	id := account{namespace, name}
	c.mu.Lock()
	defer c.mu.Unlock()
	if have, ok := c.accounts[id]; ok && time.Until(have.until) > tokenReserve {
		return have.cluster, nil
	}
	client, err := c.client(ctx)
	if err != nil {
		return nil, err
	}
	seconds := int64(tokenLife / time.Second)
	token, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name,
		&authentication.TokenRequest{Spec: authentication.TokenRequestSpec{ExpirationSeconds: &seconds}}, metav1.CreateOptions{})
	if err != nil {
		return nil, c.accountError(id, err)
	}
	a, err := c.load()
	if err != nil {
		return nil, err
	}
	as := newCluster(c.opts, func() (access, error) {
		config := rest.AnonymousClientConfig(a.config)
		config.BearerToken = token.Status.Token
		return access{
			config: config, namespace: namespace,
			origin: fmt.Sprintf("service account %s/%s, %s", namespace, name, a.origin),
		}, nil
	})
	c.accounts[id] = issued{as, token.Status.ExpirationTimestamp.Time}
	return as, nil
}

func (c *Cluster) accountError(id account, err error) error {
	switch {
	case apierrors.IsNotFound(err):
		return stages.WithHint(
			fmt.Errorf("service account %s doesn't exist in namespace %s at %s", id.name, id.namespace, c.Host()),
			"create it and its role binding first: kubectl create serviceaccount %s -n %s", id.name, id.namespace)
	case apierrors.IsForbidden(err):
		return stages.WithHint(
			fmt.Errorf("token for service account %s/%s: %w", id.namespace, id.name, err),
			"whoever deploys with serviceAccountName needs the right to create serviceaccounts/token in namespace %s", id.namespace)
	}
	return fmt.Errorf("token for service account %s/%s: %w", id.namespace, id.name, c.Explain(err))
}
