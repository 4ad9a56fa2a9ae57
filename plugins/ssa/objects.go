package ssa

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"sort"

	fluxssa "github.com/fluxcd/pkg/ssa"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"strake.dev/strake/internal/live"
	"strake.dev/strake/internal/manifest"
	"strake.dev/strake/stages"
)

// An item is one object of the manifests, and what is found out about it.
type item struct {
	// want is the object as it is applied.
	want *unstructured.Unstructured
	// ref names it as the manifests do, for its place in them.
	ref stages.ObjectRef
	// kind is its type, once the server has it.
	kind live.Kind
	// digest is that of want.
	digest string
	// place is that among all objects, in the library's order.
	place int

	// later says why it can't be tried out before the first write: its type or namespace comes with the
	// manifests. It is empty for all others.
	later string
	// change is what has to be done, and why.
	change change
	// live is the object as the look has found it; nil if it isn't there. Its metadata is enough where it
	// is known to be as it was left.
	live *unstructured.Unstructured
	// left is the metadata of an object that is as it was left.
	left *live.Object
	// ready means that it was so when it was left, and that nothing has been written to it since.
	ready bool
	// dry is what the server would make of it.
	dry *unstructured.Unstructured
}

// A change is what has to be done to an object.
type change struct{ op, reason string }

const (
	opCreate = "create"
	opUpdate = "update"
	opDelete = "delete"
	opNone   = "noop"
)

func (i *item) id() id { return idOf(i.want) }

// name names the object for people.
func (i *item) name() string { return refOf(i.want).String() }

func (i *item) key() live.Key {
	return live.Key{Group: i.kind.Group, Resource: i.kind.Resource, Namespace: i.want.GetNamespace(), Name: i.want.GetName()}
}

func refOf(o *unstructured.Unstructured) stages.ObjectRef {
	return stages.ObjectRef{APIVersion: o.GetAPIVersion(), Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName()}
}

// parse reads the objects of the manifests.
func parse(name string, m stages.Manifests) ([]*item, error) {
	objects, err := manifest.Parse(name, m)
	items := make([]*item, len(objects))
	for n, o := range objects {
		items[n] = &item{want: o, ref: refOf(o)}
	}
	return items, err
}

// prepare makes the objects what is applied: in their namespaces, marked as the app's, and without what
// others decide. Their kinds are known by then.
func (s *session) prepare(items []*item) error {
	objects := make([]*unstructured.Unstructured, len(items))
	for n, i := range items {
		objects[n] = i.want
		unstructured.RemoveNestedField(i.want.Object, "status")
		for _, field := range []string{"managedFields", "resourceVersion", "uid", "creationTimestamp", "generation"} {
			unstructured.RemoveNestedField(i.want.Object, "metadata", field)
		}
		if err := encodeSecret(i.want); err != nil {
			return fmt.Errorf("%s: %w", i.name(), err)
		}
	}
	s.manager.SetOwnerLabels(objects, s.app, s.place.Record)
	dropReplicas(objects)
	for _, i := range items {
		text, err := json.Marshal(i.want.Object)
		if err != nil {
			return fmt.Errorf("%s: %w", i.name(), err)
		}
		i.digest = stages.Manifests(text).Digest()
	}
	return nil
}

// encodeSecret moves a Secret's stringData to its data, where the server puts it: otherwise a key that
// is dropped from it would stay.
func encodeSecret(o *unstructured.Unstructured) error {
	if o.GetAPIVersion() != "v1" || o.GetKind() != "Secret" {
		return nil
	}
	texts, found, err := unstructured.NestedStringMap(o.Object, "stringData")
	if err != nil {
		return errors.New("stringData: expected texts only")
	}
	if !found {
		return nil
	}
	data, _, err := unstructured.NestedMap(o.Object, "data")
	if err != nil {
		return errors.New("data: expected a mapping")
	}
	if data == nil {
		data = map[string]any{}
	}
	for k, v := range texts {
		data[k] = base64.StdEncoding.EncodeToString([]byte(v))
	}
	o.Object["data"] = data
	delete(o.Object, "stringData")
	return nil
}

// dropReplicas removes the number of replicas of workloads that an autoscaler among the objects decides.
func dropReplicas(objects []*unstructured.Unstructured) {
	scaled := map[id]bool{}
	for _, o := range objects {
		if o.GetKind() != "HorizontalPodAutoscaler" {
			continue
		}
		kind, _, _ := unstructured.NestedString(o.Object, "spec", "scaleTargetRef", "kind")
		name, _, _ := unstructured.NestedString(o.Object, "spec", "scaleTargetRef", "name")
		version, _, _ := unstructured.NestedString(o.Object, "spec", "scaleTargetRef", "apiVersion")
		scaled[id{schema.FromAPIVersionAndKind(version, kind).GroupKind(), o.GetNamespace(), name}] = true
	}
	for _, o := range objects {
		if scaled[idOf(o)] {
			unstructured.RemoveNestedField(o.Object, "spec", "replicas")
		}
	}
}

// sorted puts items into the library's order.
func sorted(items []*item) []*item {
	sort.SliceStable(items, func(a, b int) bool {
		return fluxssa.SortableMetas{items[a].id().meta(), items[b].id().meta()}.Less(0, 1)
	})
	return items
}
