package kapp

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	ctlcap "carvel.dev/kapp/pkg/kapp/clusterapply"
	cmdtools "carvel.dev/kapp/pkg/kapp/cmd/tools"
	ctlconf "carvel.dev/kapp/pkg/kapp/config"
	ctldiff "carvel.dev/kapp/pkg/kapp/diff"
	ctlres "carvel.dev/kapp/pkg/kapp/resources"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"strake.dev/strake/internal/workload"
	"strake.dev/strake/stages"
)

// inspect lists the objects of the app.
func (s *session) inspect() ([]stages.Object, error) {
	rec, _, err := s.deployed()
	if err != nil {
		return nil, err
	}
	if rec == nil {
		return nil, fmt.Errorf("app %s in namespace %s: %w", s.target.app, s.target.record, stages.ErrNotDeployed)
	}
	listed, err := s.everything(rec.meta)
	if err != nil {
		return nil, err
	}
	rs, err := s.read(listed, selector(rec.meta))
	if err != nil {
		return nil, err
	}
	filter, err := s.flags.inspect.ResourceFilterFlags.ResourceFilter()
	if err != nil {
		return nil, s.explain(err)
	}
	rs = filter.Apply(rs)
	if t := s.job.Transcript; t != nil {
		t.Output.Reset()
		cmdtools.InspectView{Source: fmt.Sprintf("app '%s'", s.target.app), Resources: rs, Sort: true}.Print(transcriptUI(t))
	}
	_, conf, err := ctlconf.NewConfFromResourcesWithDefaults(nil)
	if err != nil {
		return nil, s.explain(err)
	}
	objects := make([]stages.Object, 0, len(rs))
	err = guarded(func() error {
		for _, r := range rs {
			objects = append(objects, objectOf(r, conf))
		}
		return nil
	})
	slices.SortFunc(objects, func(a, b stages.Object) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return objects, err
}

// objectOf describes an object, its state and what others have done to it.
func objectOf(r ctlres.Resource, conf ctlconf.Conf) stages.Object {
	o := stages.Object{
		APIVersion: r.APIVersion(), Kind: r.Kind(), Namespace: r.Namespace(), Name: r.Name(), Owner: "kapp",
		UID: r.UID(), Created: r.CreatedAt().UTC().Format(time.RFC3339),
		Images: workload.Images(r.UnstructuredObject()),
	}
	for _, owner := range r.OwnerRefs() {
		if owner.Controller != nil && *owner.Controller || o.Parent == "" {
			o.Parent = string(owner.UID)
		}
	}
	if r.Transient() {
		o.Owner = "cluster"
	} else {
		o.Drift = drift(r, conf)
	}
	converged := ctlcap.NewConvergedResourceFactory(nil, ctlcap.ConvergedResourceFactoryOpts{})
	state, _, err := converged.New(r, nil).IsDoneApplying()
	told := ctlcap.NewDoneApplyStateUI(state, err)
	o.State, o.Reason = told.State, strings.Join(strings.Fields(told.Message), " ")
	if o.State != "ok" && o.State != "ongoing" {
		// That it couldn't be told counts as failed.
		o.State = "fail"
	}
	return o
}

// drift tells whether an object still is what the last deploy has made of it, and if it isn't, who else
// has written to it since.
func drift(r ctlres.Resource, conf ctlconf.Conf) string {
	if r.Annotations()[originalKey] == "" {
		return ""
	}
	factory := ctldiff.NewChangeFactory(conf.RebaseMods(), conf.DiffAgainstLastAppliedFieldExclusionMods(), conf.DiffAgainstExistingFieldExclusionMods(), ctldiff.ChangeOpts{})
	if factory.NewResourceWithHistory(r).LastAppliedResource() != nil {
		return ""
	}
	u := unstructured.Unstructured{Object: r.UnstructuredObject()}
	var last time.Time
	own := ""
	for _, f := range u.GetManagedFields() {
		if f.FieldsV1 != nil && strings.Contains(f.FieldsV1.GetRawString(), originalKey) && f.Time != nil {
			last, own = f.Time.Time, f.Manager
		}
	}
	var others []string
	for _, f := range u.GetManagedFields() {
		if f.Manager != own && f.Subresource != "status" && f.Time != nil && !f.Time.Time.Before(last) && !slices.Contains(others, f.Manager) {
			others = append(others, f.Manager)
		}
	}
	if len(others) == 0 {
		return "changed since it was deployed"
	}
	slices.Sort(others)
	return "changed since it was deployed, by " + strings.Join(others, ", ")
}
