package ssa

import (
	"cmp"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"strake.dev/strake/internal/live"
	"strake.dev/strake/internal/manifest"
	"strake.dev/strake/internal/workload"
	"strake.dev/strake/stages"
)

// plan lists what deploy would change.
func (s *session) plan() ([]stages.Change, error) {
	v, err := s.look()
	if err != nil {
		return nil, err
	}
	changes, err := s.changes(v)
	if err == nil && len(changes) == 0 {
		stages.Log(s.job.Events, count(len(v.items), "object is", "objects are")+" up to date")
	}
	return changes, err
}

// changes are those of a view, in the order in which they would be made.
func (s *session) changes(v *view) ([]stages.Change, error) {
	var changes []stages.Change
	for _, list := range byRank(v.changed(), (*item).id) {
		for _, i := range list {
			c := i.told()
			after := i.dry
			if after == nil {
				after = i.want
			}
			text, err := manifest.Diff(i.name()+" (cluster)", i.live, i.name(), after)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", i.name(), err)
			}
			c.Diff, c.Images = text, workload.ImageChanges(content(i.live), after.Object)
			changes = append(changes, c)
		}
	}
	split := byRank(v.stale, func(d *doomed) id { return d.id })
	for r := range ranks {
		for _, d := range slices.Backward(split[ranks-1-r]) {
			changes = append(changes, d.told())
		}
	}
	return changes, nil
}

// content is what an object holds; nil if there is none.
func content(o *unstructured.Unstructured) map[string]any {
	if o == nil {
		return nil
	}
	return o.Object
}

func (i *item) told() stages.Change {
	return stages.Change{Op: i.change.op, Kind: i.want.GetKind(), Namespace: i.want.GetNamespace(), Name: i.want.GetName(), Reason: i.change.reason}
}

func (d *doomed) told() stages.Change {
	return stages.Change{Op: opDelete, Kind: d.id.Kind, Namespace: d.id.namespace, Name: d.id.name, Reason: cmp.Or(d.reason, "no longer in the manifests")}
}

// save is plan with what must hold when it is carried out.
func (s *session) save() (*stages.Saved, error) {
	v, err := s.look()
	if err != nil {
		return nil, err
	}
	changes, err := s.changes(v)
	if err != nil {
		return nil, err
	}
	for n := range changes {
		changes[n].Diff = ""
	}
	return &stages.Saved{Changes: changes, Writes: v.planned(), Target: s.targetName()}, nil
}

// targetName identifies the cluster and the app.
func (s *session) targetName() string {
	return fmt.Sprintf("%s at %s", s.describe(), s.place.Cluster.Host())
}

// planned are the writes to make, in the order of the objects' names.
func (v *view) planned() []stages.Write {
	var writes []stages.Write
	for _, i := range v.changed() {
		w := stages.Write{Op: i.change.op, Object: refOf(i.want), Digest: i.digest}
		if i.live != nil {
			w.UID, w.State = string(i.live.GetUID()), stateOf(i.live)
		}
		writes = append(writes, w)
	}
	for _, d := range v.stale {
		writes = append(writes, stages.Write{Op: opDelete, Object: d.ref, UID: string(d.meta.UID), State: live.State(&d.meta.ObjectMeta)})
	}
	slices.SortFunc(writes, func(a, b stages.Write) int {
		return cmp.Or(cmp.Compare(a.Object.String(), b.Object.String()), cmp.Compare(a.Object.APIVersion, b.Object.APIVersion))
	})
	return writes
}

// stateOf is [live.State] of an object.
func stateOf(o *unstructured.Unstructured) string { return live.State(metaOf(o)) }

func metaOf(o *unstructured.Unstructured) *metav1.ObjectMeta {
	return &metav1.ObjectMeta{
		Name: o.GetName(), Namespace: o.GetNamespace(), UID: o.GetUID(), ResourceVersion: o.GetResourceVersion(), Generation: o.GetGeneration(),
		Labels: o.GetLabels(), Annotations: o.GetAnnotations(), Finalizers: o.GetFinalizers(), OwnerReferences: o.GetOwnerReferences(),
		DeletionTimestamp: o.GetDeletionTimestamp(), ManagedFields: o.GetManagedFields(),
	}
}

// agree returns an error with everything in which a view differs from a saved plan.
func (s *session) agree(v *view, saved *stages.Saved) error {
	if target := s.targetName(); saved.Target != target {
		return refusedPlan([]string{fmt.Sprintf("the plan is for %s, not for %s", saved.Target, target)})
	}
	var reasons []string
	now := map[stages.ObjectRef]stages.Write{}
	for _, w := range v.planned() {
		now[w.Object] = w
	}
	for _, then := range saved.Writes {
		w, ok := now[then.Object]
		delete(now, then.Object)
		what := then.Object.String()
		switch {
		case !ok:
			reasons = append(reasons, fmt.Sprintf("%s: there is nothing to %s any more", what, then.Op))
		case then.UID == "" && w.UID != "":
			reasons = append(reasons, what+" was created meanwhile")
		case then.UID != "" && w.UID == "":
			reasons = append(reasons, what+" was deleted meanwhile")
		case then.UID != w.UID:
			reasons = append(reasons, what+" was deleted and created again meanwhile")
		case then.State != w.State:
			reasons = append(reasons, what+" was changed meanwhile")
		case then.Op != w.Op:
			reasons = append(reasons, fmt.Sprintf("%s: there is a %s to make, planned was a %s", what, w.Op, then.Op))
		case then.Digest != w.Digest:
			reasons = append(reasons, what+" is to become something else than planned")
		}
	}
	for ref, w := range now {
		reasons = append(reasons, fmt.Sprintf("%s: there is a %s to make that wasn't planned", ref, w.Op))
	}
	if len(reasons) > 0 {
		return refusedPlan(reasons)
	}
	return nil
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
