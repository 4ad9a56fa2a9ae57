package kapp

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	ctlapp "carvel.dev/kapp/pkg/kapp/app"
	ctlres "carvel.dev/kapp/pkg/kapp/resources"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"strake.dev/strake/stages"
)

// deploy finds out what there is to do, and does it.
func (s *session) deploy() (stages.Result, error) {
	rec, err := s.readRecord(s.target.app)
	if err != nil {
		return stages.Result{}, err
	}
	if n, ok := s.upToDate(rec); ok {
		s.print(nil)
		s.associate(rec.meta)
		return upToDate(n), nil
	}
	d, err := s.survey(rec)
	if err != nil {
		return stages.Result{}, err
	}
	s.print(d.set)
	switch {
	case d.pending() == 0:
		s.associate(d.meta)
		if d.record != nil {
			s.prove(d)
		}
		return upToDate(len(d.want.resources)), nil
	case s.flags.deploy.DiffFlags.Run:
		return stages.Result{Skipped: fmt.Sprintf("nothing was applied: rawOptions has --diff-run; %s pending",
			count(d.pending(), "change is", "changes are"))}, nil
	}
	return s.undisturbed(rec, d, s.survey)
}

// undisturbed carries a rollout out while no other deployer changes the app. It is found out anew if somebody
// has changed the app since its record was read.
func (s *session) undisturbed(rec *record, d *rollout, survey func(*record) (*rollout, error)) (stages.Result, error) {
	return s.locked(func(waited bool) (stages.Result, error) {
		now, err := s.readRecord(s.target.app)
		if err != nil {
			return stages.Result{}, err
		}
		if waited || !now.same(rec) {
			if d, err = survey(now); err != nil {
				return stages.Result{}, err
			}
			if d.pending() == 0 {
				return upToDate(len(d.want.resources)), nil
			}
		}
		return stages.Result{}, d.carryOut()
	})
}

func upToDate(n int) stages.Result {
	return stages.Result{Skipped: fmt.Sprintf("nothing to apply: %s up to date", count(n, "object is", "objects are"))}
}

// carryOut makes the changes, within kapp's record of them.
func (d *rollout) carryOut() error {
	s, f := d.s, d.s.flags.deploy
	if d.found.createRecordNamespace {
		if err := s.createNamespace(s.target.record); err != nil {
			return err
		}
	}
	if err := d.enter(); err != nil {
		return err
	}
	used := append(slices.Clone(d.want.resources), d.there.resources...)
	if err := d.use(used); err != nil {
		return err
	}
	stop := s.followLogs(d)
	defer stop()
	meta := ctlapp.ChangeMeta{Description: "update: " + d.set.summary(), Namespaces: d.want.namespaces}
	err := d.recorded(func() error {
		return s.touch(d.app, meta, f.DeployFlags.AppChangesMaxToKeep, func() error {
			if err := s.apply(d.set, d.meta, s.namespaces(d.meta, d.want), nil); err != nil {
				return err
			}
			return d.use(d.want.resources)
		})
	})
	d.meta.LastChange.Namespaces = d.want.namespaces
	s.associate(d.meta)
	if err != nil {
		return err
	}
	s.prove(d)
	// What can't be cleaned up now is cleaned up by a later deploy.
	_, _, _ = d.app.GCChanges(f.DeployFlags.AppChangesMaxToKeep, nil)
	return nil
}

// enter makes the app's record, or gives it its name and labels.
func (d *rollout) enter() error {
	s := d.s
	labels, err := s.flags.deploy.LabelFlags.AsMap()
	if err != nil {
		return s.explain(err)
	}
	if d.record == nil {
		if err := d.createRecord(labels); err != nil {
			return fmt.Errorf("record of the app: %w", s.explain(err))
		}
		if !d.found.createRecordNamespace {
			return nil
		}
		// The namespace was made meanwhile.
		if err := d.look(); err != nil {
			return err
		}
		return d.compare()
	}
	if d.record.config.Name == s.target.app && len(labels) == 0 {
		return nil
	}
	d.app = s.app(s.target.app)
	err = s.objects.retry(func(bool) error {
		_, err := d.app.CreateOrUpdate(s.former(), labels, false)
		return err
	})
	if err != nil {
		return fmt.Errorf("record of the app: %w", s.explain(err))
	}
	d.meta, err = d.app.Meta()
	return s.explain(err)
}

// createRecord makes the record of a new app, as kapp does, with the label that the objects have got.
func (d *rollout) createRecord(labels map[string]string) error {
	s := d.s
	config := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Name: s.target.app, Namespace: s.target.record, Labels: map[string]string{ctlapp.KappIsAppLabelKey: ""},
			Annotations: map[string]string{ctlapp.KappAppChangesUseAppLabelAnnotationKey: ""},
		},
		Data: d.meta.AsData(),
	}
	maps.Copy(config.Labels, labels)
	if strings.EqualFold(os.Getenv("KAPP_FQ_CONFIGMAP_NAMES"), "true") {
		config.Name += ctlapp.AppSuffix
		config.Annotations[ctlapp.KappIsConfigmapMigratedAnnotationKey] = ctlapp.KappIsConfigmapMigratedAnnotationValue
	}
	api := s.lasting.CoreV1().ConfigMaps(s.target.record)
	return s.objects.retry(func(again bool) error {
		_, err := api.Create(s.ctx, config, metav1.CreateOptions{})
		if again && apierrors.IsAlreadyExists(err) {
			// The connection may have broken after the server had made it.
			made, e := api.Get(s.ctx, config.Name, metav1.GetOptions{})
			if e == nil && made.Data["spec"] == config.Data["spec"] {
				return nil
			}
		}
		return err
	})
}

// use notes in the record which kinds of objects the app has, if that isn't there already.
func (d *rollout) use(rs []ctlres.Resource) error {
	gks := groupKinds(rs)
	var gvs []schema.GroupVersion
	for _, r := range rs {
		if gv := r.GroupVersion(); !slices.Contains(gvs, gv) {
			gvs = append(gvs, gv)
		}
	}
	if d.meta.UsedGKs != nil && sameSet(*d.meta.UsedGKs, gks) && sameSet(d.meta.UsedGVs, gvs) {
		return nil
	}
	if err := d.s.objects.retry(func(bool) error { return d.app.UpdateUsedGVsAndGKs(gvs, gks) }); err != nil {
		return fmt.Errorf("record of the app: %w", d.s.explain(err))
	}
	d.meta.UsedGKs, d.meta.UsedGVs = &gks, gvs
	return nil
}

func sameSet[T comparable](a, b []T) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(x T) bool { return !slices.Contains(b, x) })
}

// plan lists what deploy would change.
func (s *session) plan() ([]stages.Change, *rollout, error) {
	rec, err := s.readRecord(s.target.app)
	if err != nil {
		return nil, nil, err
	}
	if n, ok := s.upToDate(rec); ok {
		stages.Log(s.events, count(n, "object is", "objects are")+" up to date")
		return nil, nil, nil
	}
	d, err := s.survey(rec)
	if err != nil {
		return nil, nil, err
	}
	changes := make([]stages.Change, 0, len(d.set.changes))
	for _, c := range d.set.changes {
		told := c.tell()
		told.Diff = c.text(d.set.mask)
		changes = append(changes, told)
	}
	if len(changes) == 0 {
		stages.Log(s.events, count(len(d.want.resources), "object is", "objects are")+" up to date")
	}
	return changes, d, nil
}

// createNamespace makes the namespace of the record when the manifests bring it themselves: kapp
// writes its record before any object. kapp then finds the namespace and takes it over.
func (s *session) createNamespace(name string) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err := s.clients.core.CoreV1().Namespaces().Create(s.ctx, ns, metav1.CreateOptions{})
	switch {
	case apierrors.IsAlreadyExists(err):
		return nil
	case err != nil:
		return fmt.Errorf("namespace %s: %w", name, stopped(s.ctx, s.target.cluster.Explain(err)))
	}
	s.events.Observe(stages.Event{Type: stages.ChangeMade, Change: &stages.Change{
		Op: "create", Kind: "Namespace", Name: name, Reason: "holds the app's record",
	}})
	return nil
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
