package kapp

import (
	"sync"

	ctlres "carvel.dev/kapp/pkg/kapp/resources"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"strake.dev/strake/internal/live"
)

// mirrored are the objects for waiting: it is answered from what the last write has returned and from
// copies that watches keep, where those may be made.
type mirrored struct {
	*objects
	mirror *live.Mirror

	mu sync.Mutex
	// once are objects that were answered from the last write.
	once map[string]bool
}

// follow makes copies of the objects of a kind be kept.
func (m *mirrored) follow(r ctlres.Resource) bool {
	t, err := m.clients.types.Find(r)
	return err == nil && m.mirror.Follow(kindOf(t))
}

// Get reads an object.
func (m *mirrored) Get(r ctlres.Resource) (ctlres.Resource, error) {
	found, err := m.look(r)
	if found != nil || err != nil {
		return found, err
	}
	return m.objects.Get(r)
}

// Exists tells whether an object is there, and reads it.
func (m *mirrored) Exists(r ctlres.Resource, opts ctlres.ExistsOpts) (ctlres.Resource, bool, error) {
	if opts.SameUID {
		m.objects.mu.Lock()
		gone := m.gone[r.UID()]
		m.objects.mu.Unlock()
		if gone || m.mirror.Gone(r.UID()) {
			return nil, false, nil
		}
	}
	found, err := m.look(r)
	switch {
	case found == nil || err != nil:
		return m.objects.Exists(r, opts)
	case opts.SameUID && found.UID() != r.UID():
		return nil, false, nil
	}
	return found, true, nil
}

// look finds the newest copy of an object; nil if there is none.
func (m *mirrored) look(r ctlres.Resource) (ctlres.Resource, error) {
	t, err := m.clients.types.Find(r)
	if err != nil {
		return nil, err
	}
	m.objects.mu.Lock()
	written := m.written[keyOf(r)]
	m.objects.mu.Unlock()
	copied, known := m.mirror.Get(kindOf(t), r.Namespace(), r.Name())
	switch {
	case known && copied != nil && (written == nil || live.Newer(copied, &unstructured.Unstructured{Object: written.UnstructuredObject()})):
		return ctlres.NewResourceUnstructured(*copied.DeepCopy(), t), nil
	case written != nil && (known || m.first(r)):
		return written.DeepCopy(), nil
	}
	return nil, nil
}

// first tells whether an object is asked for the first time: what the last write has returned is good
// enough then.
func (m *mirrored) first(r ctlres.Resource) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := keyOf(r)
	before := m.once[key]
	m.once[key] = true
	return !before
}

// All lists the objects that belong to one that is waited for. Where they can't be followed there are
// none: they only say more about what is waited for.
func (m *mirrored) All(types []ctlres.ResourceType, opts ctlres.AllOpts) ([]ctlres.Resource, error) {
	selector, err := labels.Parse(opts.ListOpts.LabelSelector)
	if err != nil {
		return nil, err
	}
	var found []ctlres.Resource
	for _, t := range types {
		if !m.mirror.Follow(kindOf(t)) {
			continue
		}
		for _, u := range m.mirror.List(kindOf(t), selector) {
			found = append(found, ctlres.NewResourceUnstructured(*u.DeepCopy(), t))
		}
	}
	return found, nil
}
