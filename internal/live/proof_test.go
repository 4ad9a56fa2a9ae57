package live

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

var configMaps = Kind{GroupVersionResource: schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, Kind: "ConfigMap", Namespaced: true}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func object(name string, edit ...func(*metav1.ObjectMeta)) Object {
	at := metav1.NewTime(noon)
	o := Object{Kind: configMaps, PartialObjectMetadata: &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: "ns", UID: types.UID("uid-" + name), ResourceVersion: "10",
		Labels:        map[string]string{"a": "1"},
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "strake", Operation: "Update", Time: &at}},
	}}}
	for _, e := range edit {
		e(&o.ObjectMeta)
	}
	return o
}

func TestCompare(t *testing.T) {
	later := metav1.NewTime(noon.Add(time.Hour))
	status := func(m *metav1.ObjectMeta) {
		m.ResourceVersion = "11"
		m.ManagedFields = append(m.ManagedFields, metav1.ManagedFieldsEntry{Manager: "controller", Operation: "Update", Subresource: "status", Time: &later})
	}
	tests := map[string]struct {
		was  Object
		read time.Time
		now  Object
		want Sameness
	}{
		"same":                      {object("a"), noon, object("a"), Same},
		"status":                    {object("a"), noon.Add(time.Minute), object("a", status), Touched},
		"status, just written":      {object("a"), noon, object("a", status), Changed},
		"status, with generation":   {object("a", generation(3)), noon, object("a", generation(3), status), Touched},
		"spec":                      {object("a", generation(3)), noon, object("a", generation(4), status), Changed},
		"no managed fields":         {object("a", unmanaged), noon.Add(time.Minute), object("a", unmanaged, version("11")), Changed},
		"label":                     {object("a"), noon.Add(time.Minute), object("a", status, func(m *metav1.ObjectMeta) { m.Labels = map[string]string{"a": "2"} }), Changed},
		"annotation":                {object("a"), noon.Add(time.Minute), object("a", status, func(m *metav1.ObjectMeta) { m.Annotations = map[string]string{"a": "2"} }), Changed},
		"another manager":           {object("a"), noon.Add(time.Minute), object("a", version("11"), func(m *metav1.ObjectMeta) { m.ManagedFields[0].Manager = "kubectl" }), Changed},
		"the same manager, later":   {object("a"), noon.Add(time.Minute), object("a", version("11"), func(m *metav1.ObjectMeta) { m.ManagedFields[0].Time = &later }), Changed},
		"being deleted":             {object("a"), noon.Add(time.Minute), object("a", version("11"), func(m *metav1.ObjectMeta) { m.DeletionTimestamp = &later }), Changed},
		"made anew":                 {object("a"), noon.Add(time.Minute), object("a", func(m *metav1.ObjectMeta) { m.UID = "other" }), Changed},
		"another one":               {object("a"), noon, object("b"), Unknown},
		"another one, same version": {object("a"), noon, object("b", func(m *metav1.ObjectMeta) { m.UID = "uid-a" }), Unknown},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := &Proof{Input: "in", Namespaces: []string{"ns"}}
			p.Add(test.was, test.read, "wanted")
			text, err := p.Encode()
			if err != nil {
				t.Fatal(err)
			}
			p, err = DecodeProof(text)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Compare(test.now); got != test.want {
				t.Errorf("expected %d, found %d", test.want, got)
			}
			if p.Input != "in" || p.Len() != 1 || len(p.Kinds) != 1 || p.Kinds[0] != configMaps {
				t.Errorf("decoded: %+v", p)
			}
			if !p.Wanted(test.was.Key(), "wanted") || p.Wanted(test.was.Key(), "another") {
				t.Error("what was wanted isn't recognised")
			}
		})
	}
}

func generation(n int64) func(*metav1.ObjectMeta) {
	return func(m *metav1.ObjectMeta) { m.Generation = n }
}

func version(v string) func(*metav1.ObjectMeta) {
	return func(m *metav1.ObjectMeta) { m.ResourceVersion = v }
}

func unmanaged(m *metav1.ObjectMeta) { m.ManagedFields = nil }

func FuzzDecodeProof(f *testing.F) {
	p := &Proof{Input: "in"}
	p.Add(object("a"), noon, "wanted")
	text, err := p.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add("")
	f.Fuzz(func(_ *testing.T, text string) {
		if p, err := DecodeProof(text); err == nil {
			p.Compare(object("a"))
		}
	})
}
