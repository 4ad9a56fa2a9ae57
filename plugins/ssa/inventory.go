package ssa

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/fluxcd/cli-utils/pkg/object"
	fluxssa "github.com/fluxcd/pkg/ssa"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"strake.dev/strake/stages"
)

// Names of Kustomizer's inventories: https://github.com/stefanprodan/kustomizer, pkg/inventory/storage.go.
const (
	ownerGroup        = "inventory.kustomizer.dev"
	ownerName         = ownerGroup + "/name"
	ownerNamespace    = ownerGroup + "/namespace"
	inventoryPrefix   = "inv-"
	nameLabel         = "app.kubernetes.io/name"
	componentLabel    = "app.kubernetes.io/component"
	component         = "inventory"
	createdByLabel    = "app.kubernetes.io/created-by"
	createdBy         = "kustomizer" // by which “kustomizer get inventories” finds them
	appliedAnnotation = ownerGroup + "/last-applied-time"
	sourceAnnotation  = ownerGroup + "/source"
	revAnnotation     = ownerGroup + "/revision"
	resourcesKey      = "resources"
	artifactsKey      = "artifacts"
	// recordKey holds what is strake's own. Kustomizer leaves it alone and doesn't look at it.
	recordKey = "strake.json"
)

// An inventory is the record of what an app has in a cluster.
type inventory struct {
	// items are the objects with the versions of their types, by id.
	items map[id]string
	// applied is when it was written.
	applied time.Time
	origin  stages.Origin
	// record is strake's own; empty if somebody else has written since.
	record record
	// stored is how it is in the cluster; nil if it isn't.
	stored *corev1.ConfigMap
}

// A record is what strake remembers of a deploy beside the inventory.
type record struct {
	// By is the program with its version.
	By string `json:"by,omitempty"`
	// Digest is that of the manifests.
	Digest string `json:"digest,omitempty"`
	// Outcome is one of a revision's.
	Outcome string `json:"outcome,omitempty"`
	// Ready tells whether everything was waited for.
	Ready bool `json:"ready,omitempty"`
	// Proof is a [live.Proof]; empty unless all was well.
	Proof string `json:"proof,omitempty"`
	// Seal is a digest of what Kustomizer writes, by which a write of its is noticed.
	Seal string `json:"seal"`
}

// resource is an entry as Kustomizer writes it.
type resource struct {
	ID      string `json:"id"`
	Version string `json:"ver"`
}

func (i id) meta() object.ObjMetadata {
	return object.ObjMetadata{Namespace: i.namespace, Name: i.name, GroupKind: i.GroupKind}
}

// ref names an object of the inventory.
func (i id) ref(version string) stages.ObjectRef {
	return stages.ObjectRef{
		APIVersion: schema.GroupVersion{Group: i.Group, Version: version}.String(), Kind: i.Kind, Namespace: i.namespace, Name: i.name,
	}
}

// readInventory reads what a ConfigMap holds; nil is an empty inventory.
func readInventory(m *corev1.ConfigMap) (*inventory, error) {
	inv := &inventory{items: map[id]string{}, stored: m}
	if m == nil {
		return inv, nil
	}
	var resources []resource
	if err := json.Unmarshal([]byte(m.Data[resourcesKey]), &resources); err != nil {
		return nil, stages.WithHint(fmt.Errorf("configmap/%s (namespace %s): key %s is no list of resources: %w", m.Name, m.Namespace, resourcesKey, err),
			"it has the name of an inventory: restore it, or rename what isn't one")
	}
	for _, r := range resources {
		o, err := object.ParseObjMetadata(r.ID)
		if err != nil {
			return nil, fmt.Errorf("configmap/%s (namespace %s): %w", m.Name, m.Namespace, err)
		}
		inv.items[id{o.GroupKind, o.Namespace, o.Name}] = r.Version
	}
	// What describes the inventory only is no reason to refuse it.
	inv.applied, _ = time.Parse(time.RFC3339, m.Annotations[appliedAnnotation])
	inv.origin = stages.Origin{Source: m.Annotations[sourceAnnotation], Revision: m.Annotations[revAnnotation]}
	_ = json.Unmarshal([]byte(m.Data[artifactsKey]), &inv.origin.Artifacts)
	if err := json.Unmarshal([]byte(m.Data[recordKey]), &inv.record); err != nil || inv.record.Seal != seal(m) {
		inv.record = record{}
	}
	return inv, nil
}

// seal is a digest of what Kustomizer writes.
func seal(m *corev1.ConfigMap) string {
	return stages.Manifests(strings.Join([]string{m.Data[resourcesKey], m.Data[artifactsKey], m.Annotations[appliedAnnotation]}, "\x00")).Digest()
}

// ids lists the objects in the library's order.
func (inv *inventory) ids() []id {
	ids := slices.Collect(maps.Keys(inv.items))
	metas := make(fluxssa.SortableMetas, len(ids))
	for n, i := range ids {
		metas[n] = i.meta()
	}
	sort.Sort(metas)
	for n, m := range metas {
		ids[n] = id{m.GroupKind, m.Namespace, m.Name}
	}
	return ids
}

// configMap is the inventory as it is stored, with what others have added to the stored one.
func (inv *inventory) configMap(name, namespace string) (*corev1.ConfigMap, error) {
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: inventoryPrefix + name, Namespace: namespace}}
	if inv.stored != nil {
		m = inv.stored.DeepCopy()
		m.ManagedFields = nil
	}
	resources := make([]resource, 0, len(inv.items))
	for _, i := range inv.ids() {
		resources = append(resources, resource{i.meta().String(), inv.items[i]})
	}
	set(&m.Labels, map[string]string{nameLabel: name, componentLabel: component, createdByLabel: createdBy})
	set(&m.Annotations, map[string]string{
		appliedAnnotation: inv.applied.UTC().Format(time.RFC3339), sourceAnnotation: inv.origin.Source, revAnnotation: inv.origin.Revision,
	})
	text, err := encode(resources)
	if err != nil {
		return nil, err
	}
	data := map[string]string{resourcesKey: text, artifactsKey: ""}
	if len(inv.origin.Artifacts) > 0 {
		if data[artifactsKey], err = encode(inv.origin.Artifacts); err != nil {
			return nil, err
		}
	}
	set(&m.Data, data)
	r := inv.record
	r.Seal = seal(m)
	if text, err = encode(r); err != nil {
		return nil, err
	}
	if len(text)+len(m.Data[resourcesKey]) > maxConfigMap {
		r.Proof = ""
		if text, err = encode(r); err != nil {
			return nil, err
		}
	}
	m.Data[recordKey] = text
	return m, nil
}

// maxConfigMap is what the data of a ConfigMap may have, in bytes, with room for what is beside it:
// https://kubernetes.io/docs/concepts/configuration/configmap/#motivation.
const maxConfigMap = 1<<20 - 8<<10

func encode(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}

// set sets those values that aren't empty and removes the others.
func set(m *map[string]string, values map[string]string) {
	if *m == nil {
		*m = map[string]string{}
	}
	for k, v := range values {
		if v == "" {
			delete(*m, k)
		} else {
			(*m)[k] = v
		}
	}
}
