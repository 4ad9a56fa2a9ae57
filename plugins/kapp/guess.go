package kapp

import (
	"encoding/base64"
	"maps"
	"reflect"

	ctlres "carvel.dev/kapp/pkg/kapp/resources"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Annotations of kapp's on each object: what it was applied from, and a digest of how that differs from
// what the API server has made of it. kapp writes them in a second write, as it can't know the digest
// before the first. Here the digest is guessed for the first write; the second is made only if the guess was
// wrong.
const (
	originalKey = "kapp.k14s.io/original"
	md5Key      = "kapp.k14s.io/original-diff-md5"
	// noOriginalKey asks for an object without them.
	noOriginalKey = "kapp.k14s.io/disable-original"
	// maxAnnotation is the length above which kapp leaves them out.
	maxAnnotation = 262144
)

// Digests of the differences of objects for which the API server sets no defaults: those given with
// annotations, be they empty, and those without, which get kapp's.
const (
	md5Annotated = "58e0494c51d30eb3494f7c9198986bb9"
	md5Plain     = "c6e94dc94aed3401b5d0f26ed6c0bff3"
)

// A guess is what is written, and what the API server is expected to make of it.
type guess struct {
	body *unstructured.Unstructured
	// expected is nil if that isn't known beforehand.
	expected map[string]any
}

// guess returns what to write for an object: with the annotations that kapp would add in a second write.
func (o *objects) guess(r ctlres.Resource) guess {
	// Only metadata is changed, and the library's object must not be.
	body := &unstructured.Unstructured{Object: maps.Clone(r.UnstructuredObject())}
	if metadata, ok := body.Object["metadata"].(map[string]any); ok {
		body.Object["metadata"] = maps.Clone(metadata)
	}
	o.mu.Lock()
	change := o.applying[keyOf(r)]
	sum := o.sums[r.GroupVersion().WithKind(r.Kind())]
	o.mu.Unlock()
	annotations := r.Annotations()
	if _, off := annotations[noOriginalKey]; off || change == nil || change.AppliedResource() == nil || annotations[originalKey] != "" {
		return guess{body: body}
	}
	applied := change.AppliedResource()
	original, err := applied.AsCompactBytes()
	if err != nil || len(original) > maxAnnotation {
		return guess{body: body}
	}
	all := maps.Clone(annotations)
	if all == nil {
		all = map[string]string{}
	}
	all[originalKey] = string(original)
	g := guess{body: body}
	was := change.ClusterOriginalResource()
	switch {
	case undefaulted[r.GroupKind().String()] && was == nil:
		g.expected = stored(body.Object)
		sum = o.digest(applied, g.expected)
	case was != nil && was.Annotations()[md5Key] != "":
		sum = was.Annotations()[md5Key]
	case sum == "":
		sum = plainDigest(applied)
	}
	all[md5Key] = sum
	body.SetAnnotations(all)
	if g.expected != nil {
		g.expected = stored(body.Object)
	}
	return g
}

func plainDigest(applied ctlres.Resource) string {
	metadata, _ := applied.UnstructuredObject()["metadata"].(map[string]any)
	if _, given := metadata["annotations"].(map[string]any); given {
		return md5Annotated
	}
	return md5Plain
}

// undefaulted are kinds of which it is known what the API server makes of a new object: it sets no
// defaults, or those that [stored] sets.
var undefaulted = map[string]bool{
	"ConfigMap": true, "Secret": true, "ServiceAccount": true,
	"Role.rbac.authorization.k8s.io": true, "RoleBinding.rbac.authorization.k8s.io": true,
	"ClusterRole.rbac.authorization.k8s.io": true, "ClusterRoleBinding.rbac.authorization.k8s.io": true,
}

// stored is a new object of such a kind as the API server stores it, without what it sets in the metadata.
func stored(sent map[string]any) map[string]any {
	made := maps.Clone(sent)
	if made["kind"] != "Secret" {
		return made
	}
	if _, ok := made["type"]; !ok {
		made["type"] = "Opaque"
	}
	texts, ok := made["stringData"].(map[string]any)
	if !ok {
		return made
	}
	delete(made, "stringData")
	data := map[string]any{}
	if given, ok := made["data"].(map[string]any); ok {
		maps.Copy(data, given)
	}
	for k, v := range texts {
		if text, ok := v.(string); ok {
			data[k] = base64.StdEncoding.EncodeToString([]byte(text))
		}
	}
	made["data"] = data
	return made
}

// digest is kapp's own of how an object as it is stored differs from what it was applied from.
func (o *objects) digest(applied ctlres.Resource, stored map[string]any) string {
	if stored["kind"] != "Secret" {
		return plainDigest(applied)
	}
	live := ctlres.NewResourceUnstructured(unstructured.Unstructured{Object: stored}, ctlres.ResourceType{}).DeepCopy()
	// It fails only for annotations that are no map, which were refused before.
	_ = ctlres.NewIdentityAnnotation(live).RemoveMod().Apply(live)
	change, err := o.factory.NewResourceWithHistory(live).CalculateChange(applied)
	if err != nil {
		return plainDigest(applied)
	}
	return change.OpsDiff().MinimalMD5()
}

// asExpected tells whether the API server has made of an object what was expected, so that the guess was
// right.
func (g guess) asExpected(made *unstructured.Unstructured) bool {
	if g.expected == nil || len(made.Object) != len(g.expected) {
		return false
	}
	for k, v := range g.expected {
		if k != "metadata" && !reflect.DeepEqual(v, made.Object[k]) {
			return false
		}
	}
	want := unstructured.Unstructured{Object: g.expected}
	return maps.Equal(want.GetLabels(), made.GetLabels()) && maps.Equal(want.GetAnnotations(), made.GetAnnotations()) &&
		reflect.DeepEqual(want.GetFinalizers(), made.GetFinalizers()) && reflect.DeepEqual(want.GetOwnerReferences(), made.GetOwnerReferences())
}

// settled is what kapp's library gets for an object that needs no second write: one that asks for none.
func settled(r ctlres.Resource) ctlres.Resource {
	u := unstructured.Unstructured{Object: map[string]any{"apiVersion": r.APIVersion(), "kind": r.Kind()}}
	u.SetName(r.Name())
	u.SetNamespace(r.Namespace())
	u.SetAnnotations(map[string]string{noOriginalKey: ""})
	return ctlres.NewResourceUnstructured(u, ctlres.ResourceType{})
}
