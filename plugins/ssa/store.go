package ssa

import (
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"strake.dev/strake/stages"
)

// inventory reads the app's inventory; one that isn't there is empty.
func (s *session) inventory() (*inventory, error) {
	m, err := s.core.CoreV1().ConfigMaps(s.place.Record).Get(s.ctx, inventoryPrefix+s.app, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		m = nil
	case apierrors.IsForbidden(err):
		return nil, stages.WithHint(fmt.Errorf("inventory of the app: %w", err),
			"the deploying identity needs get, create, update and delete on configmaps in namespace %s", s.place.Record)
	case err != nil:
		return nil, fmt.Errorf("inventory of the app: %w", stopped(s.ctx, s.place.Cluster.Explain(err)))
	}
	return readInventory(m)
}

// errRewritten says that an inventory isn't the one that was read any more.
var errRewritten = errors.New("was written by somebody else meanwhile")

// write stores an inventory, which is based on the stored one: if somebody else has written meanwhile,
// nothing is stored.
func (s *session) write(inv *inventory) error {
	inv.applied = time.Now()
	m, err := inv.configMap(s.app, s.place.Record)
	if err != nil {
		return err
	}
	api := s.core.CoreV1().ConfigMaps(s.place.Record)
	var stored *corev1.ConfigMap
	if inv.stored == nil {
		stored, err = api.Create(s.ctx, m, metav1.CreateOptions{FieldManager: s.config.FieldManager})
	} else {
		stored, err = api.Update(s.ctx, m, metav1.UpdateOptions{FieldManager: s.config.FieldManager})
	}
	switch {
	case err == nil:
		inv.stored = stored
		return nil
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return stages.WithHint(fmt.Errorf("%s %w", s.describe(), errRewritten), "run again")
	case apierrors.IsForbidden(err):
		return stages.WithHint(fmt.Errorf("inventory of the app: %w", err),
			"the deploying identity needs get, create, update and delete on configmaps in namespace %s", s.place.Record)
	}
	return fmt.Errorf("inventory of the app: %w", stopped(s.ctx, s.place.Cluster.Explain(err)))
}

// wrote is when an inventory was written, by the server's clock.
func (inv *inventory) wrote() time.Time {
	var latest time.Time
	if inv.stored != nil {
		for _, f := range inv.stored.ManagedFields {
			if f.Time != nil && f.Time.After(latest) {
				latest = f.Time.Time
			}
		}
	}
	return latest
}
