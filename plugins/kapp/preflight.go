package kapp

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	ctlres "carvel.dev/kapp/pkg/kapp/resources"
	ctlresm "carvel.dev/kapp/pkg/kapp/resourcesmisc"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"strake.dev/strake/internal/manifest"
	"strake.dev/strake/stages"
)

// findings are what would make a deploy fail halfway. They are collected, so that all are told at once.
type findings struct {
	errs  []error
	hints []string
	// place tells where an object stands in the manifests.
	place func(ctlres.Resource) string
	// createRecordNamespace means that the namespace of the record is missing, and that the manifests
	// bring it.
	createRecordNamespace bool
	// missing are the namespaces that don't exist.
	missing map[string]bool
}

func (s *session) newFindings() *findings {
	places := sync.OnceValue(func() *manifest.Places { return manifest.Locate(s.job.Manifests) })
	return &findings{missing: map[string]bool{}, place: func(r ctlres.Resource) string {
		return places().Place(s.job.Rendered, refOf(r))
	}}
}

func refOf(r ctlres.Resource) stages.ObjectRef {
	return stages.ObjectRef{APIVersion: r.APIVersion(), Kind: r.Kind(), Namespace: r.Namespace(), Name: r.Name()}
}

// add adds what is wrong with an object; nil is for what is about no single one.
func (f *findings) add(r ctlres.Resource, hint, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if r != nil {
		text = describe(r) + " " + text
		if at := f.place(r); at != "" {
			text = at + ": " + text
		}
	}
	f.errs = append(f.errs, errors.New(text))
	if hint != "" && !slices.Contains(f.hints, hint) {
		f.hints = append(f.hints, hint)
	}
}

func (f *findings) err() error {
	err := errors.Join(f.errs...)
	if err == nil || len(f.hints) == 0 {
		return err
	}
	return stages.WithHint(err, "%s", strings.Join(f.hints, "; "))
}

// knownTypes returns those objects whose type the cluster knows or the manifests define.
func (s *session) knownTypes(objects []ctlres.Resource, found *findings) []ctlres.Resource {
	types := ctlresm.NewResourceTypes(objects, s.clients.types)
	return slices.DeleteFunc(slices.Clone(objects), func(o ctlres.Resource) bool {
		if o.Kind() == "" || o.APIVersion() == "" {
			return false // reported by kapp, with its place in the manifests
		}
		if _, err := types.IsNamespaced(o); err == nil {
			return false
		}
		switch have := s.clients.types.versions(o.APIGroup(), o.Kind()); {
		case s.clients.types.down(o.APIGroup()):
			found.add(o, "what serves the API group is down: see “kubectl get apiservices”",
				"can't be applied: API group %s of the cluster doesn't answer", o.APIGroup())
		case len(have) > 0:
			found.add(o, "", "can't be applied: the cluster has no %s in %s, but in %s", o.Kind(), o.APIVersion(), strings.Join(have, ", "))
		default:
			found.add(o, "is the type's CustomResourceDefinition installed?",
				"can't be applied: the cluster has no %s in %s", o.Kind(), o.APIVersion())
		}
		return true
	})
}

// ownRecord finds an object that would take the place of the app's record.
func (s *session) ownRecord(objects []ctlres.Resource, found *findings) {
	for _, o := range objects {
		if o.Kind() == "ConfigMap" && o.APIVersion() == "v1" && o.Name() == s.target.app && o.Namespace() == s.target.record {
			found.add(o, "give the ConfigMap or the App another name",
				"has the name of the app, under which kapp keeps its record of the app as a ConfigMap")
		}
	}
}

// maxObject is the size from which etcd refuses objects, in bytes, with room for what kapp and the API
// server add. https://etcd.io/docs/v3.6/dev-guide/limit/
const maxObject = 1500 << 10

// tooLarge finds objects that the API server wouldn't store.
func (s *session) tooLarge(objects []ctlres.Resource, found *findings) {
	for _, o := range objects {
		if text, err := o.AsCompactBytes(); err == nil && len(text) > maxObject {
			found.add(o, "split it, or keep large data elsewhere",
				"has %d KiB, and Kubernetes stores no object of more than about %d KiB", len(text)>>10, maxObject>>10)
		}
	}
}

// checkNamespaces finds namespaces that are needed, missing, and not made by the manifests.
func (s *session) checkNamespaces(objects []ctlres.Resource, found *findings) error {
	made, users := map[string]bool{}, map[string][]ctlres.Resource{s.target.record: nil}
	for _, o := range objects {
		if o.Kind() == "Namespace" && o.APIVersion() == "v1" {
			made[o.Name()] = true
		}
		if o.Namespace() != "" {
			users[o.Namespace()] = append(users[o.Namespace()], o)
		}
	}
	state, err := s.namespaceStates(slices.Collect(maps.Keys(users)))
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(users)) {
		found.missing[name] = state[name] == missing
		switch {
		case state[name] == terminating:
			found.add(nil, "wait until it is gone", "namespace %s is being deleted%s", name, found.usedBy(users[name]))
		case state[name] == missing && !made[name]:
			found.add(nil, "kubectl create namespace "+name, "namespace %s doesn't exist%s", name, found.usedBy(users[name]))
		case state[name] == missing && name == s.target.record:
			found.createRecordNamespace = true
		}
	}
	return nil
}

// usedBy names some of the objects that need a namespace.
func (f *findings) usedBy(objects []ctlres.Resource) string {
	if len(objects) == 0 {
		return ", and the record of the app goes there"
	}
	const some = 3
	var names []string
	for _, o := range objects[:min(some, len(objects))] {
		names = append(names, strings.ToLower(o.Kind())+"/"+o.Name())
	}
	text := ", needed by " + strings.Join(names, ", ")
	if more := len(objects) - some; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	if at := f.place(objects[0]); at != "" {
		text += " (" + at + ")"
	}
	return text
}

type namespaceState int

const (
	present namespaceState = iota
	missing
	terminating
)

// namespaceStates asks for namespaces. One that may not be read counts as present: service accounts
// often may use a namespace and not look at it.
func (s *session) namespaceStates(names []string) (map[string]namespaceState, error) {
	var mu sync.Mutex
	states := map[string]namespaceState{}
	group, ctx := errgroup.WithContext(s.ctx)
	group.SetLimit(requestsAtOnce)
	for _, name := range names {
		group.Go(func() error {
			ns, err := s.clients.core.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
			state := present
			switch {
			case apierrors.IsNotFound(err):
				state = missing
			case err != nil && !apierrors.IsForbidden(err):
				return fmt.Errorf("namespace %s: %w", name, s.target.cluster.Explain(err))
			case err == nil && ns.Status.Phase == corev1.NamespaceTerminating:
				state = terminating
			}
			mu.Lock()
			defer mu.Unlock()
			states[name] = state
			return nil
		})
	}
	return states, stopped(s.ctx, group.Wait())
}
