package kapp

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	ctlapp "carvel.dev/kapp/pkg/kapp/app"
	ctlconf "carvel.dev/kapp/pkg/kapp/config"
	ctlres "carvel.dev/kapp/pkg/kapp/resources"
	ctlresm "carvel.dev/kapp/pkg/kapp/resourcesmisc"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"strake.dev/strake/stages"
)

// findings are what is known before kapp looks at the manifests.
type findings struct {
	// objects is their number.
	objects int
	// createRecordNamespace means that the namespace of the record is missing, and that the manifests
	// bring it.
	createRecordNamespace bool
	// errs and hints are what would make the deploy fail, and what to do about it.
	errs  []error
	hints []string
}

func (f *findings) add(hint, format string, args ...any) {
	f.errs = append(f.errs, fmt.Errorf(format, args...))
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

// preflight looks for what would make the deploy fail halfway: types that the cluster doesn't know
// and namespaces that aren't there. It only reads, and reports all that it finds at once.
func (s *session) preflight(c Config, m stages.Manifests) (findings, error) {
	f, err := s.prepare(newScreen(s.events), c.args()...)
	if err != nil {
		return findings{}, err
	}
	objects, err := ctlres.NewFileResource(ctlres.NewBytesSource(m)).Resources()
	if err != nil {
		return findings{}, fmt.Errorf("manifests: %s", flatten(err.Error()))
	}
	if objects, _, err = ctlconf.NewConfFromResourcesWithDefaults(objects); err != nil {
		return findings{}, fmt.Errorf("manifests: %s", flatten(err.Error()))
	}
	found := findings{objects: len(objects)}
	objects = s.knownTypes(objects, &found)

	place := f.deploy.DeployFlags.PrepareResourcesOpts
	place.DefaultNamespace = s.target.objects
	place.BeforeModificationFunc = func(rs []ctlres.Resource) []ctlres.Resource { return rs }
	if objects, err = ctlapp.NewPreparation(s.clients.types, place).PrepareResources(objects); err != nil {
		return findings{}, s.explain(err, nil)
	}
	s.ownRecord(objects, &found)
	if err := s.namespaces(objects, &found); err != nil {
		return findings{}, err
	}
	return found, found.err()
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
		what := newObject(o.Kind(), o.Name(), o.APIVersion(), o.Namespace())
		switch have := s.clients.types.versions(o.APIGroup(), o.Kind()); {
		case s.clients.types.failing[o.APIGroup()]:
			found.add("what serves the API group is down: see “kubectl get apiservices”",
				"%s: API group %s of the cluster doesn't answer", what, o.APIGroup())
		case len(have) > 0:
			found.add("", "%s: the cluster has no %s in %s, but in %s", what, o.Kind(), o.APIVersion(), strings.Join(have, ", "))
		default:
			found.add("is the type's CustomResourceDefinition installed?",
				"%s: the cluster has no %s in %s", what, o.Kind(), o.APIVersion())
		}
		return true
	})
}

// ownRecord finds an object that would take the place of the app's record.
func (s *session) ownRecord(objects []ctlres.Resource, found *findings) {
	for _, o := range objects {
		if o.Kind() == "ConfigMap" && o.APIVersion() == "v1" && o.Name() == s.target.app && o.Namespace() == s.target.record {
			found.add("give the ConfigMap or the App another name",
				"%s has the name of the app, under which kapp keeps its record of the app as a ConfigMap", newObject(o.Kind(), o.Name(), o.APIVersion(), o.Namespace()))
		}
	}
}

// namespaces finds namespaces that are needed, missing, and not made by the manifests.
func (s *session) namespaces(objects []ctlres.Resource, found *findings) error {
	made, users := map[string]bool{}, map[string][]string{s.target.record: nil}
	for _, o := range objects {
		if o.Kind() == "Namespace" && o.APIVersion() == "v1" {
			made[o.Name()] = true
		}
		if o.Namespace() != "" {
			users[o.Namespace()] = append(users[o.Namespace()], strings.ToLower(o.Kind())+"/"+o.Name())
		}
	}
	state, err := s.namespaceStates(slices.Collect(maps.Keys(users)))
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(users)) {
		switch {
		case state[name] == terminating:
			found.add("wait until it is gone", "namespace %s is being deleted%s", name, usedBy(users[name]))
		case state[name] == missing && !made[name]:
			found.add("kubectl create namespace "+name, "namespace %s doesn't exist%s", name, usedBy(users[name]))
		case state[name] == missing && name == s.target.record:
			found.createRecordNamespace = true
		}
	}
	return nil
}

// usedBy names some of the objects that need a namespace.
func usedBy(objects []string) string {
	const some = 3
	switch n := len(objects); {
	case n == 0:
		return ", and the record of the app goes there"
	case n > some:
		return fmt.Sprintf(", needed by %s and %d more", strings.Join(objects[:some], ", "), n-some)
	}
	return ", needed by " + strings.Join(objects, ", ")
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
	const atOnce = 10
	var mu sync.Mutex
	states := map[string]namespaceState{}
	group, ctx := errgroup.WithContext(s.ctx)
	group.SetLimit(atOnce)
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
