package kapp

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	ctlcap "carvel.dev/kapp/pkg/kapp/clusterapply"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"strake.dev/strake/internal/live"
	"strake.dev/strake/stages"
)

// save plans with all that it takes to carry the plan out later.
func (s *session) save() (*stages.Saved, error) {
	changes, d, err := s.plan()
	if err != nil {
		return nil, err
	}
	saved := &stages.Saved{Changes: changes, Writes: []stages.Write{}, Target: s.where()}
	if d != nil {
		saved.Writes, err = d.writes()
	}
	return saved, err
}

// where identifies the app and its cluster.
func (s *session) where() string {
	return fmt.Sprintf("%s, app %s in namespace %s", s.target.cluster.Host(), s.target.app, s.target.record)
}

// writes are the changes that write, in the order of the objects' names.
func (d *rollout) writes() ([]stages.Write, error) {
	writes := []stages.Write{}
	for _, c := range d.set.changes {
		if !c.writes() {
			continue
		}
		w := stages.Write{Op: c.op(), Object: refOf(c.Resource()), Digest: d.digest(c)}
		if was := c.ClusterOriginalResource(); was != nil {
			var meta metav1.ObjectMeta
			fields, _ := was.UnstructuredObject()["metadata"].(map[string]any)
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields, &meta); err != nil {
				return nil, fmt.Errorf("%s: %w", c.object(), err)
			}
			w.UID, w.State = string(meta.UID), live.State(&meta)
		}
		writes = append(writes, w)
	}
	slices.SortFunc(writes, func(a, b stages.Write) int { return cmp.Or(compareRefs(a.Object, b.Object), cmp.Compare(a.Op, b.Op)) })
	return writes, nil
}

func compareRefs(a, b stages.ObjectRef) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.APIVersion, b.APIVersion))
}

// digest is one of what a change does to its object. A new app's label, drawn anew each time, is no
// part of it.
func (d *rollout) digest(c *change) string {
	var text strings.Builder
	if c.ApplyOp() != ctlcap.ClusterChangeApplyOpDelete {
		if c.diff.ExistingResource() != nil && c.diff.NewResource() != nil {
			text.WriteString(c.diff.OpsDiff().MinimalString())
		}
		if applied := c.diff.AppliedResource(); applied != nil {
			if compact, err := applied.AsCompactBytes(); err == nil {
				text.Write(compact)
			}
		}
	}
	plain := text.String()
	if d.record == nil {
		plain = strings.ReplaceAll(plain, d.meta.LabelValue, "")
	}
	sum := sha256.Sum256([]byte(plain))
	return hex.EncodeToString(sum[:])
}

// applySaved makes the writes of a saved plan, or none.
func (s *session) applySaved(saved *stages.Saved) (stages.Result, error) {
	if here := s.where(); saved.Target != here {
		return stages.Result{}, &stages.RefusedError{Reasons: []string{fmt.Sprintf("the plan is for %s, and not for %s", saved.Target, here)}}
	}
	rec, err := s.readRecord(s.target.app)
	if err != nil {
		return stages.Result{}, err
	}
	survey := func(rec *record) (*rollout, error) { return s.agreed(rec, saved) }
	d, err := survey(rec)
	if err != nil {
		return stages.Result{}, err
	}
	if d.pending() == 0 {
		return upToDate(len(d.want.resources)), nil
	}
	return s.undisturbed(rec, d, survey)
}

// agreed finds out what there is to do, and refuses if that isn't what was planned.
func (s *session) agreed(rec *record, saved *stages.Saved) (*rollout, error) {
	d, err := s.survey(rec)
	if err != nil {
		return nil, err
	}
	now, err := d.writes()
	if err != nil {
		return nil, err
	}
	if reasons := drifted(saved.Writes, now); len(reasons) > 0 {
		return nil, stages.WithHint(&stages.RefusedError{Reasons: reasons}, "make a new plan with “strake plan --out”")
	}
	return d, nil
}

// done are the words for what was planned.
var done = map[string]string{"create": "created", "update": "updated", "delete": "deleted"}

// drifted tells how the writes that are needed now differ from the planned ones.
func drifted(planned, now []stages.Write) []string {
	var reasons []string
	current := map[stages.ObjectRef]stages.Write{}
	for _, w := range now {
		current[w.Object] = w
	}
	for _, p := range planned {
		w, ok := current[p.Object]
		delete(current, p.Object)
		switch {
		case !ok:
			reasons = append(reasons, fmt.Sprintf("%s was to be %s, which it no longer needs: somebody has changed it since the plan was made", p.Object, done[p.Op]))
		case w.Op != p.Op:
			reasons = append(reasons, fmt.Sprintf("%s was to be %s, and would have to be %s now", p.Object, done[p.Op], done[w.Op]))
		case w.UID != p.UID:
			reasons = append(reasons, fmt.Sprintf("%s is another object of that name than when the plan was made", p.Object))
		case w.State != p.State:
			reasons = append(reasons, fmt.Sprintf("%s was changed since the plan was made", p.Object))
		case w.Digest != p.Digest:
			reasons = append(reasons, fmt.Sprintf("%s would become something else than planned", p.Object))
		}
	}
	for _, w := range now {
		if _, unplanned := current[w.Object]; unplanned {
			reasons = append(reasons, fmt.Sprintf("%s would have to be %s, which isn't planned: somebody has changed it since the plan was made", w.Object, done[w.Op]))
		}
	}
	return reasons
}
