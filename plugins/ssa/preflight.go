package ssa

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"strake.dev/strake/internal/live"
	"strake.dev/strake/internal/manifest"
	"strake.dev/strake/stages"
)

// findings are what is known to make a deploy fail, before it has written anything. They are safe for
// concurrent use.
type findings struct {
	places *manifest.Places
	// file is that of the manifests; it may be empty.
	file string

	mu    sync.Mutex
	errs  []error
	hints []string
	bad   map[*item]bool
}

// has tells whether an object has a problem already.
func (f *findings) has(i *item) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bad[i]
}

// of reports a problem of an object.
func (f *findings) of(i *item, err error) {
	where := ""
	if line := f.places.Line(i.ref); line > 0 && f.file != "" {
		where = fmt.Sprintf("%s:%d: ", f.file, line)
	}
	f.add(stages.Hint(err), fmt.Errorf("%s%w", where, err))
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bad == nil {
		f.bad = map[*item]bool{}
	}
	f.bad[i] = true
}

func (f *findings) add(hint string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errs = append(f.errs, err)
	if hint != "" && !slices.Contains(f.hints, hint) {
		f.hints = append(f.hints, hint)
	}
}

func (f *findings) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	slices.SortFunc(f.errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	slices.Sort(f.hints)
	err := errors.Join(f.errs...)
	if err == nil || len(f.hints) == 0 {
		return err
	}
	return stages.WithHint(err, "%s", strings.Join(f.hints, "; "))
}

// types finds the types of the objects and puts those that belong into a namespace into one. The types
// of some may come with the manifests.
func (s *session) types(items []*item, found *findings) error {
	defined := definitions(items)
	kinds := map[schema.GroupVersionKind]live.Kind{}
	for _, i := range items {
		gvk := i.want.GroupVersionKind()
		kind, ok := kinds[gvk]
		if !ok {
			var err error
			kind, err = s.kind(gvk)
			switch {
			case meta.IsNoMatchError(err):
				kind, ok = defined[gvk]
				if !ok {
					found.of(i, s.noType(i))
					continue
				}
			case err != nil:
				return fmt.Errorf("types of the API server: %w", stopped(s.ctx, s.place.Cluster.Explain(err)))
			}
			kinds[gvk] = kind
		}
		if i.kind = kind; kind.Version == "" {
			i.later = "its type comes with the manifests"
		}
		switch {
		case !kind.Namespaced:
			i.want.SetNamespace("")
		case i.want.GetNamespace() == "":
			i.want.SetNamespace(s.place.Objects)
		}
	}
	seen := map[id]bool{}
	for _, i := range items {
		if seen[i.id()] {
			found.of(i, fmt.Errorf("%s is in the manifests twice", i.name()))
		}
		seen[i.id()] = true
	}
	return nil
}

// definitions are the types that CustomResourceDefinitions among the objects define. Their resources
// aren't known to the server yet, and have no version.
func definitions(items []*item) map[schema.GroupVersionKind]live.Kind {
	kinds := map[schema.GroupVersionKind]live.Kind{}
	for _, i := range items {
		if !isDefinition(i.want) {
			continue
		}
		group, _, _ := unstructured.NestedString(i.want.Object, "spec", "group")
		kind, _, _ := unstructured.NestedString(i.want.Object, "spec", "names", "kind")
		scope, _, _ := unstructured.NestedString(i.want.Object, "spec", "scope")
		versions, _, _ := unstructured.NestedSlice(i.want.Object, "spec", "versions")
		for _, v := range versions {
			if m, ok := v.(map[string]any); ok {
				name, _ := m["name"].(string)
				kinds[schema.GroupVersionKind{Group: group, Version: name, Kind: kind}] = live.Kind{Namespaced: scope == "Namespaced"}
			}
		}
	}
	return kinds
}

func isDefinition(o *unstructured.Unstructured) bool {
	return o.GetKind() == "CustomResourceDefinition" && o.GroupVersionKind().Group == "apiextensions.k8s.io"
}

func isNamespace(o *unstructured.Unstructured) bool {
	return o.GetKind() == "Namespace" && o.GetAPIVersion() == "v1"
}

// noType says that the server doesn't have an object's type, and what it has instead.
func (s *session) noType(i *item) error {
	gvk := i.want.GroupVersionKind()
	if others, err := s.mapper.RESTMappings(gvk.GroupKind()); err == nil && len(others) > 0 {
		var have []string
		for _, o := range others {
			have = append(have, o.GroupVersionKind.GroupVersion().String())
		}
		return fmt.Errorf("%s: the cluster has no %s in %s, but in %s", i.name(), gvk.Kind, gvk.GroupVersion(), strings.Join(have, ", "))
	}
	return stages.WithHint(fmt.Errorf("%s: the cluster has no %s in %s", i.name(), gvk.Kind, gvk.GroupVersion()),
		"is the type's CustomResourceDefinition installed, and what serves it up?")
}

// sizes finds objects that are too large to be stored.
func sizes(items []*item, found *findings) {
	for _, i := range items {
		limit, size := maxObject, 0
		if text, err := i.want.MarshalJSON(); err == nil {
			size = len(text)
		}
		if k := i.want.GetKind(); i.want.GetAPIVersion() == "v1" && (k == "ConfigMap" || k == "Secret") {
			limit = maxData
		}
		if size > limit {
			found.of(i, stages.WithHint(fmt.Errorf("%s has %d bytes, more than the %d that the cluster can store", i.name(), size, limit),
				"split it, or bring large data to the cluster as an image or a volume"))
		}
	}
}

const (
	// maxData is the limit on what is in a ConfigMap or a Secret, in bytes.
	maxData = 1 << 20
	// maxObject is etcd's limit on a request, in bytes: https://etcd.io/docs/v3.6/dev-guide/limit/.
	maxObject = 3 << 19
)

// namespaces finds namespaces that are missing or are going. Objects of those that come with the
// manifests are for later. It tells whether the inventory's own namespace has to be made first.
func (s *session) namespaces(items []*item, found *findings) (recordLater bool, err error) {
	// made are the namespaces that will be there when they are needed, with the reasons.
	made, users := map[string]string{}, map[string][]*item{s.place.Record: nil}
	if s.config.CreateNamespace {
		made[s.place.Record] = "its namespace is made for the inventory"
	}
	for _, i := range items {
		if isNamespace(i.want) {
			made[i.want.GetName()] = "its namespace comes with the manifests"
		}
		if ns := i.want.GetNamespace(); ns != "" {
			users[ns] = append(users[ns], i)
		}
	}
	states, err := s.phases(slices.Sorted(maps.Keys(users)))
	if err != nil {
		return false, err
	}
	for ns, using := range users {
		state := states[ns]
		if state == "" && made[ns] != "" {
			for _, i := range using {
				i.later = made[ns]
			}
			recordLater = recordLater || ns == s.place.Record
			continue
		}
		problem, hint := "", ""
		switch state {
		case corev1.NamespaceTerminating:
			problem, hint = "namespace "+ns+" is being deleted", "wait until the namespace is gone"
		case "":
			problem, hint = "namespace "+ns+" doesn't exist", "kubectl create namespace "+ns
			if ns == s.place.Record {
				hint += ", or have it made with createNamespace (--create-namespace)"
			}
		default:
			continue
		}
		for _, i := range using {
			found.of(i, stages.WithHint(fmt.Errorf("%s: %s", i.name(), problem), "%s", hint))
		}
		if ns == s.place.Record {
			found.add(hint, fmt.Errorf("%s, and the inventory of the app goes there", problem))
		}
	}
	return recordLater, nil
}

// phases asks for namespaces; one that isn't there has none. One that may not be read counts as there:
// service accounts often may use a namespace and not look at it.
func (s *session) phases(names []string) (map[string]corev1.NamespacePhase, error) {
	var mu sync.Mutex
	states := map[string]corev1.NamespacePhase{}
	err := s.each(len(names), func(n int) error {
		name, phase := names[n], corev1.NamespaceActive
		ns, err := s.core.CoreV1().Namespaces().Get(s.ctx, name, metav1.GetOptions{})
		if err == nil && ns.Status.Phase == corev1.NamespaceTerminating {
			phase = ns.Status.Phase
		}
		switch {
		case apierrors.IsNotFound(err):
			phase = ""
		case err != nil && !apierrors.IsForbidden(err):
			return fmt.Errorf("namespace %s: %w", name, s.place.Cluster.Explain(err))
		}
		mu.Lock()
		defer mu.Unlock()
		states[name] = phase
		return nil
	})
	return states, err
}

// owner says to whom else an object belongs; empty if to nobody.
func (s *session) owner(labels map[string]string) string {
	name, namespace := labels[ownerName], labels[ownerNamespace]
	switch {
	case name != "" && (name != s.app || namespace != s.place.Record):
		return fmt.Sprintf("inventory %s in namespace %s", name, namespace)
	case labels[kappLabel] != "":
		return fmt.Sprintf("an app of kapp (label %s=%s)", kappLabel, labels[kappLabel])
	}
	return ""
}

// kappLabel is how kapp marks the objects of an app.
const kappLabel = "kapp.k14s.io/app"
