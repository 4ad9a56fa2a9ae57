package kapp

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"strake.dev/strake/stages"
)

// Check makes sure that the API server answers, that the identity to deploy with exists and is
// accepted, and that it may read the app's record. It only reads, by one request, apart from the token
// that a service account needs.
func (s *step) Check(ctx context.Context, job *stages.Job) error {
	var t target
	err := s.cluster.Answers(ctx, func(ctx context.Context) (err error) {
		t, err = s.target(ctx, job)
		return err
	})
	if err != nil {
		return err
	}
	err = t.cluster.Answers(ctx, func(ctx context.Context) error {
		config, err := t.cluster.Config(ctx)
		if err != nil {
			return err
		}
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			return err
		}
		_, err = client.CoreV1().ConfigMaps(t.record).Get(ctx, t.app, metav1.GetOptions{})
		return err
	})
	switch {
	case err == nil, apierrors.IsNotFound(err):
		return nil
	case apierrors.IsForbidden(err):
		return stages.WithHint(fmt.Errorf("record of the app: %w", err),
			"the deploying identity needs get, list, create, update and delete on configmaps in namespace %s", t.record)
	}
	return err
}
