package ssa

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	fluxssa "github.com/fluxcd/pkg/ssa"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"strake.dev/strake/internal/kapprecord"
	"strake.dev/strake/internal/live"
	"strake.dev/strake/internal/revisions"
	"strake.dev/strake/stages"
)

var _ stages.Adopter = (*step)(nil)

// adopting is the end of the name under which the marks of an owner are written.
const adopting = "-adopt"

// An heir is an object that is taken over.
type heir struct {
	id   id
	kind live.Kind
}

func (h heir) told(from string) stages.Change {
	return stages.Change{Op: opUpdate, Kind: h.id.Kind, Namespace: h.id.namespace, Name: h.id.name, Reason: "taken over from " + from}
}

// Adopt takes over what kapp or Kustomizer has deployed. Only metadata is written: the owner's labels and
// annotations, and who manages the fields.
func (s *step) Adopt(ctx context.Context, job *stages.Job, how stages.Adoption) ([]stages.Change, error) {
	ses, err := s.begin(ctx, job)
	if err != nil {
		return nil, err
	}
	defer ses.end()
	return ses.adopt(how)
}

func (s *session) adopt(how stages.Adoption) ([]stages.Change, error) {
	var kapps *corev1.ConfigMap
	if how.From == kapprecord.Manager {
		var err error
		if kapps, err = s.kappRecord(); err != nil {
			return nil, err
		}
	}
	locked, err := s.lock(&view{})
	if err != nil {
		return nil, err
	}
	defer locked.release()
	inv, err := s.inventory()
	if err != nil {
		return nil, err
	}
	if kapps == nil && inv.stored == nil {
		return nil, fmt.Errorf("%s of %s: %w", s.describe(), how.From, stages.ErrNotDeployed)
	}
	heirs, err := s.heirs(inv, kapps)
	if err != nil {
		return nil, err
	}
	var changes []stages.Change
	for _, h := range heirs {
		changes = append(changes, h.told(how.From))
	}
	if how.DryRun {
		return changes, nil
	}
	next := &inventory{items: map[id]string{}, stored: inv.stored, origin: inv.origin, record: record{By: s.job.Version, Outcome: revisions.Unfinished}}
	for _, h := range heirs {
		next.items[h.id] = h.kind.Version
	}
	if err := s.write(next); err != nil {
		return nil, err
	}
	order := newSequence(s.job.Events, len(heirs))
	err = s.all(len(heirs), func(n int) error {
		if err := s.inherit(heirs[n], how.From); err != nil {
			return err
		}
		order.tell(n, heirs[n].told(how.From))
		return nil
	})
	order.flush()
	if err != nil {
		return nil, err
	}
	next.record.Outcome = revisions.Succeeded
	if err := s.write(next); err != nil {
		return nil, err
	}
	if kapps == nil || how.KeepRecord {
		return changes, nil
	}
	return changes, s.forgetKapp(kapps)
}

// kappRecord is kapp's record of the app; nil if there is none (any more).
func (s *session) kappRecord() (*corev1.ConfigMap, error) {
	for _, name := range []string{s.app, s.app + kapprecord.Suffix} {
		m, err := s.core.CoreV1().ConfigMaps(s.place.Record).Get(s.ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			continue
		case err != nil:
			return nil, fmt.Errorf("kapp's record of the app: %w", stopped(s.ctx, s.place.Cluster.Explain(err)))
		}
		return m, nil
	}
	return nil, nil
}

// heirs are the objects of the inventory and of kapp's app, in the library's order. Those of others are an
// error.
func (s *session) heirs(inv *inventory, kapps *corev1.ConfigMap) ([]heir, error) {
	found := map[id]live.Kind{}
	for i, version := range inv.items {
		kind, err := s.kindOf(i, version)
		if err != nil {
			return nil, err
		}
		if kind.Version != "" {
			found[i] = kind
		}
	}
	var reasons []string
	if kapps != nil {
		r, err := kapprecord.Read(kapps)
		if err != nil {
			return nil, err
		}
		if r.Kinds == nil {
			return nil, stages.WithHint(errors.New("kapp's record of the app doesn't say of which kinds it has objects"), "deploy it once more with kapp 0.46 or later")
		}
		for _, gk := range r.Kinds {
			kind, err := s.kindOf(id{GroupKind: gk}, "")
			if err != nil {
				return nil, err
			}
			if kind.Version == "" {
				continue
			}
			list, err := s.meta.List(s.ctx, []live.Kind{kind}, labels.Set{r.LabelKey: r.LabelValue}.AsSelector(), []string{s.place.Record})
			if err != nil {
				return nil, stopped(s.ctx, s.place.Cluster.Explain(err))
			}
			for _, o := range list {
				if _, applied := o.Annotations[kapprecord.Identity]; !applied && metav1.GetControllerOf(o.PartialObjectMetadata) != nil {
					continue // a controller has made it, with the labels of its template
				}
				i := id{gk, o.Namespace, o.Name}
				found[i] = kind
				if name := o.Labels[ownerName]; name != "" && (name != s.app || o.Labels[ownerNamespace] != s.place.Record) {
					reasons = append(reasons, fmt.Sprintf("%s belongs to inventory %s in namespace %s", i.ref(kind.Version), name, o.Labels[ownerNamespace]))
				}
				if _, versioned := o.Annotations[kapprecord.Versioned]; versioned {
					stages.Warn(s.job.Events, fmt.Sprintf("%s: kapp makes a new object with a number in its name for each change; from now on it keeps its own name", i.ref(kind.Version)))
				}
			}
		}
	}
	if len(reasons) > 0 {
		slices.Sort(reasons)
		return nil, stages.WithHint(&stages.RefusedError{Reasons: reasons}, "remove the objects from one of the two, then adopt again")
	}
	ids := (&inventory{items: versions(found)}).ids()
	heirs := make([]heir, len(ids))
	for n, i := range ids {
		heirs[n] = heir{i, found[i]}
	}
	return heirs, nil
}

func versions(kinds map[id]live.Kind) map[id]string {
	all := map[id]string{}
	for i, k := range kinds {
		all[i] = k.Version
	}
	return all
}

// inherit makes an object the app's own. One that is gone, or is another's, is left alone.
func (s *session) inherit(h heir, from string) error {
	api := s.dynamic.Resource(h.kind.GroupVersionResource).Namespace(h.id.namespace)
	ref := h.id.ref(h.kind.Version)
	for n := 1; ; n++ {
		o, err := api.Get(s.ctx, h.id.name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s can't be read: %w", ref, s.place.Cluster.Explain(err))
		}
		if name := o.GetLabels()[ownerName]; name != "" && (name != s.app || o.GetLabels()[ownerNamespace] != s.place.Record) {
			return nil
		}
		patch, err := s.deed(o, from)
		if err != nil || patch == nil {
			return err
		}
		_, err = api.Patch(s.ctx, h.id.name, types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: s.config.FieldManager + adopting})
		switch {
		case err == nil:
			return nil
		case !apierrors.IsConflict(err) || n == tries:
			return fmt.Errorf("%s can't be taken over: %w", ref, s.place.Cluster.Explain(err))
		}
	}
}

// deed is the JSON patch that makes an object the app's own; nil if it is that already.
func (s *session) deed(o *unstructured.Unstructured, from string) ([]byte, error) {
	now := o.GetLabels()
	managers := []fluxssa.FieldManager{{Name: from, ExactMatch: true, OperationType: metav1.ManagedFieldsOperationApply}}
	if from == kapprecord.Manager {
		managers = nil
		for _, name := range []string{from, defaultManager} { // the one of strake's kapp plugin
			managers = append(managers, fluxssa.FieldManager{Name: name, ExactMatch: true, OperationType: metav1.ManagedFieldsOperationUpdate})
		}
	}
	replaced, err := fluxssa.PatchReplaceFieldsManagers(o, managers, s.config.FieldManager)
	if err != nil {
		return nil, err
	}
	if now[ownerName] == s.app && now[kappLabel] == "" && replaced == nil {
		return nil, nil
	}
	if from == kapprecord.Manager {
		replaced = append(replaced, fluxssa.PatchRemoveLabels(o, kapprecord.Labels)...)
		if o.GetKind() == "Deployment" {
			// A write to its annotations counts as a new generation. Nobody manages them from now on.
			if err := disown(replaced, kapprecord.Annotations); err != nil {
				return nil, err
			}
		} else {
			replaced = append(replaced, fluxssa.PatchRemoveAnnotations(o, kapprecord.Annotations)...)
		}
	}
	var patch []any
	for _, p := range replaced {
		patch = append(patch, p)
	}
	type add struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value"`
	}
	if now == nil {
		patch = append(patch, add{"add", "/metadata/labels", map[string]string{}})
	}
	for key, value := range s.manager.GetOwnerLabels(s.app, s.place.Record) {
		patch = append(patch, add{"add", "/metadata/labels/" + strings.ReplaceAll(key, "/", "~1"), value})
	}
	// A write of somebody else in between is a conflict.
	patch = append(patch, add{"replace", "/metadata/resourceVersion", o.GetResourceVersion()})
	return json.Marshal(patch)
}

// disown takes annotations out of the fields that patches of managed fields give.
func disown(patches []fluxssa.JSONPatch, annotations []string) error {
	for _, p := range patches {
		for n := range p.Value {
			fields := map[string]any{}
			if p.Value[n].FieldsV1 == nil {
				continue
			}
			if err := json.Unmarshal(p.Value[n].FieldsV1.GetRawBytes(), &fields); err != nil {
				return err
			}
			for _, a := range annotations {
				unstructured.RemoveNestedField(fields, "f:metadata", "f:annotations", "f:"+a)
			}
			raw, err := json.Marshal(fields)
			if err != nil {
				return err
			}
			p.Value[n].FieldsV1 = metav1.NewFieldsV1(string(raw))
		}
	}
	return nil
}

// forgetKapp deletes kapp's records of the app and of its changes.
func (s *session) forgetKapp(kapps *corev1.ConfigMap) error {
	r, err := kapprecord.Read(kapps)
	if err != nil {
		return err
	}
	api := s.core.CoreV1().ConfigMaps(s.place.Record)
	changes, err := api.List(s.ctx, metav1.ListOptions{LabelSelector: labels.Set{kapprecord.ChangeLabel: "", kapprecord.ChangeAppLabel: r.LabelValue}.String()})
	if err != nil {
		return fmt.Errorf("kapp's records of changes: %w", stopped(s.ctx, s.place.Cluster.Explain(err)))
	}
	for _, m := range append(changes.Items, *kapps) {
		if err := api.Delete(s.ctx, m.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("configmap/%s of kapp: %w", m.Name, stopped(s.ctx, s.place.Cluster.Explain(err)))
		}
	}
	told := stages.Change{Op: opDelete, Kind: "ConfigMap", Namespace: kapps.Namespace, Name: kapps.Name, Reason: "kapp's record of the app"}
	s.job.Events.Observe(stages.Event{Type: stages.ChangeMade, Change: &told})
	return nil
}

// keepLabels gives the labels that kapp has put into selectors and pod templates to the object that is
// applied: selectors can't be changed, and other templates would start all pods anew.
func keepLabels(want, have *unstructured.Unstructured) {
	if have == nil {
		return
	}
	for _, path := range [][]string{
		{"spec", "selector"},
		{"spec", "selector", "matchLabels"},
		{"spec", "template", "metadata", "labels"},
		{"spec", "jobTemplate", "spec", "template", "metadata", "labels"},
	} {
		there, _, _ := unstructured.NestedMap(have.Object, path...)
		for _, key := range kapprecord.Labels {
			value, kept := there[key].(string)
			if _, ok, err := unstructured.NestedMap(want.Object, path[:len(path)-1]...); kept && ok && err == nil {
				at := slices.Concat(path, []string{key})
				if mine, _, _ := unstructured.NestedString(want.Object, at...); cmp.Or(mine, value) == value {
					_ = unstructured.SetNestedField(want.Object, value, at...) // the map above it was found
				}
			}
		}
	}
}
