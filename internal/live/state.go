package live

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// State is a digest of everything about an object that a write other than to its status changes, in
// hex. It is known from the metadata: the generation counts changes of a specification, and for kinds
// that have none, or for metadata, the managed fields say who has changed what, and when.
//
// Times in managed fields are whole seconds, so that for kinds without generation a second write of
// the same manager to the same fields in one second isn't seen; see [Proof] for how it is dealt with.
//
// Sources: https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management and
// https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md#metadata
func State(m *metav1.ObjectMeta) string {
	fields := make([]metav1.ManagedFieldsEntry, 0, len(m.ManagedFields))
	for _, f := range m.ManagedFields {
		if f.Subresource != "status" {
			fields = append(fields, f)
		}
	}
	slices.SortFunc(fields, func(a, b metav1.ManagedFieldsEntry) int {
		return compareEntries(&a, &b)
	})
	sum := sha256.New()
	// Maps are encoded in the order of their keys; encoding plain data into a hash can't fail.
	_ = json.NewEncoder(sum).Encode([]any{
		m.UID, m.Generation, m.Labels, m.Annotations, m.Finalizers, m.OwnerReferences, m.DeletionTimestamp, fields,
	})
	return hex.EncodeToString(sum.Sum(nil))
}

func compareEntries(a, b *metav1.ManagedFieldsEntry) int {
	for _, pair := range [][2]string{
		{a.Manager, b.Manager}, {string(a.Operation), string(b.Operation)}, {a.APIVersion, b.APIVersion}, {a.Subresource, b.Subresource},
	} {
		if pair[0] != pair[1] {
			if pair[0] < pair[1] {
				return -1
			}
			return 1
		}
	}
	return 0
}

// settled tells whether a later write of anybody would show in the state of metadata that was read at a
// time of the server's clock.
func settled(m *metav1.ObjectMeta, read time.Time) bool {
	if m.Generation > 0 {
		return true
	}
	for _, f := range m.ManagedFields {
		if f.Subresource != "status" && f.Time != nil && read.Sub(f.Time.Time) < time.Second {
			return false
		}
	}
	return len(m.ManagedFields) > 0
}
