package kapp

import (
	"context"
	"fmt"
	"slices"
	"strings"

	ctlapp "carvel.dev/kapp/pkg/kapp/app"
	ctlconf "carvel.dev/kapp/pkg/kapp/config"
	ctlres "carvel.dev/kapp/pkg/kapp/resources"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"strake.dev/strake/internal/kapprecord"
	"strake.dev/strake/internal/live"
	"strake.dev/strake/stages"
)

// ownedForDeletionKey marks objects that a controller has made and that are to be deleted with the app.
const ownedForDeletionKey = "kapp.k14s.io/owned-for-deletion"

// delete removes the objects of the app, then its record.
func (s *session) delete() error {
	rec, name, err := s.deployed()
	if err != nil {
		return err
	}
	if rec == nil {
		stages.Log(s.events, fmt.Sprintf("app %s is not deployed in namespace %s: nothing to delete", s.target.app, s.target.record))
		return nil
	}
	_, err = s.locked(func(bool) (stages.Result, error) { return stages.Result{}, s.deleteAll(rec, name) })
	return err
}

// deployed reads the app's record, also under the name that it had earlier; nil if there is none.
func (s *session) deployed() (*record, string, error) {
	for _, name := range []string{s.target.app, s.former()} {
		if name == "" {
			continue
		}
		if rec, err := s.readRecord(name); rec != nil || err != nil {
			return rec, name, err
		}
	}
	return nil, "", nil
}

func (s *session) deleteAll(rec *record, name string) error {
	listed, err := s.everything(rec.meta)
	if err != nil {
		return err
	}
	there, err := s.shells(listed, rec.meta)
	if err != nil {
		return err
	}
	filter, err := s.flags.delete.ResourceFilterFlags.ResourceFilter()
	if err != nil {
		return s.explain(err)
	}
	all := len(there)
	there = filter.Apply(there)
	whole := len(there) == all && s.flags.delete.DiffFlags.Filter == ""

	_, conf, err := ctlconf.NewConfFromResourcesWithDefaults(nil)
	if err != nil {
		return s.explain(err)
	}
	set, err := s.compare(there, nil, conf)
	if err != nil {
		return err
	}
	if s.flags.delete.DiffFlags.Run {
		stages.Log(s.events, fmt.Sprintf("nothing was deleted: rawOptions has --diff-run; %s pending", count(len(set.changes), "change is", "changes are")))
		return nil
	}
	keep := 0
	if !whole {
		stages.Log(s.events, fmt.Sprintf("app %s stays, as some of its objects are left out by filters", name))
		keep = ctlapp.AppChangesMaxToKeepDefault
	}
	err = s.touch(s.app(name), ctlapp.ChangeMeta{Description: "delete"}, keep, func() error {
		var many *bulk
		if whole {
			many = newBulk(s.objects, selector(rec.meta), listed)
		}
		if err := s.apply(set, rec.meta, s.namespaces(rec.meta, nil), many); err != nil {
			return err
		}
		if whole {
			return s.forget(rec, name, listed)
		}
		return nil
	})
	if apierrors.IsNotFound(err) && s.ctx.Err() == nil {
		// The record goes together with its namespace when that is an object of the app.
		if rec, again := s.readRecord(name); again == nil && rec == nil {
			return nil
		}
	}
	return err
}

// shells are the objects to delete, of which the metadata is enough, but for definitions of types: their
// objects have to go before them.
func (s *session) shells(listed []live.Object, meta ctlapp.Meta) ([]ctlres.Resource, error) {
	isDefinition := func(o live.Object) bool { return o.Kind.Kind == "CustomResourceDefinition" }
	var there []ctlres.Resource
	var whole []live.Object
	for _, o := range listed {
		if isDefinition(o) {
			whole = append(whole, o)
			continue
		}
		shell := shellOf(o)
		shell.MarkTransient(!ctlres.NewIdentityAnnotation(shell).Valid())
		there = append(there, shell)
	}
	definitions, err := s.read(whole, selector(meta))
	if err != nil {
		return nil, err
	}
	there = append(there, definitions...)
	for _, r := range there {
		if _, owned := r.Annotations()[ownedForDeletionKey]; owned {
			r.MarkTransient(false)
		}
	}
	return there, nil
}

// everything lists all objects with the app's label.
func (s *session) everything(meta ctlapp.Meta) ([]live.Object, error) {
	kinds, err := s.clients.types.inhabited(meta.UsedGKs)
	if err != nil {
		return nil, s.explain(err)
	}
	found, err := s.clients.meta.List(s.ctx, kinds, selector(meta), s.namespaces(meta, nil))
	return found, s.explain(err)
}

// forget removes the app's record and kapp's records of its changes, once no object is left of the kinds
// of which the app, or controllers for it, had some.
func (s *session) forget(rec *record, name string, listed []live.Object) error {
	var kinds []live.Kind
	for _, o := range listed {
		if !slices.Contains(kinds, o.Kind) {
			kinds = append(kinds, o.Kind)
		}
	}
	left, err := s.clients.meta.List(s.ctx, kinds, selector(rec.meta), s.namespaces(rec.meta, nil))
	if err != nil {
		return s.explain(err)
	}
	if len(left) > 0 {
		var names []string
		for _, o := range left {
			names = append(names, describe(shellOf(o)))
		}
		slices.Sort(names)
		return stages.WithHint(fmt.Errorf("the app's record stays, as objects with its label are still there: %s", strings.Join(names, ", ")),
			"delete again once what makes them is gone")
	}
	changes := labels.Set{kapprecord.ChangeLabel: "", kapprecord.ChangeAppLabel: rec.meta.LabelValue}
	if _, ok := rec.config.Annotations[ctlapp.KappAppChangesUseAppLabelAnnotationKey]; !ok {
		changes = labels.Set{kapprecord.ChangeLabel: "", "kapp.k14s.io/app-change-app": name}
	}
	if err := s.deleteMaps(s.ctx, changes.String()); err != nil {
		return fmt.Errorf("kapp's records of changes: %w", s.explain(err))
	}
	err = s.clients.core.CoreV1().ConfigMaps(s.target.record).Delete(s.ctx, rec.config.Name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("record of the app: %w", s.explain(err))
	}
	return nil
}

// deleteMaps deletes ConfigMaps by one request, or singly where only that is allowed.
func (s *session) deleteMaps(ctx context.Context, selector string) error {
	maps := s.clients.core.CoreV1().ConfigMaps(s.target.record)
	opts := metav1.ListOptions{LabelSelector: selector}
	err := maps.DeleteCollection(ctx, metav1.DeleteOptions{}, opts)
	if !apierrors.IsForbidden(err) {
		return err
	}
	list, err := maps.List(ctx, opts)
	if err != nil {
		return err
	}
	for i := range list.Items {
		if err := maps.Delete(ctx, list.Items[i].Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}
