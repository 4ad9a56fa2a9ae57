package kapp

import (
	"cmp"
	"fmt"
	"slices"

	"strake.dev/strake/stages"
)

// withoutMetrics leaves out objects that come and go by themselves, as kapp-controller does.
const withoutMetrics = `--filter={"not":{"resource":{"kinds":["PodMetrics"]}}}`

// inspect lists the objects of the app.
func (s *session) inspect() ([]stages.Object, error) {
	out := newScreen(s.events)
	transcribe(out, s.transcript)
	f, err := s.prepare(out, withoutMetrics)
	if err != nil {
		return nil, err
	}
	there, err := s.exists(f.inspect.AppFlags)
	if err != nil {
		return nil, err
	}
	if !there {
		return nil, fmt.Errorf("app %s in namespace %s: %w", s.target.app, s.target.record, stages.ErrNotDeployed)
	}
	if err := call(s.ctx, f.inspect.Run); err != nil {
		return nil, s.explain(err, out)
	}
	objects := make([]stages.Object, 0, len(out.rows))
	for _, r := range out.rows {
		o := r.object()
		objects = append(objects, stages.Object{
			APIVersion: o.apiVersion, Kind: r.text("kind"), Namespace: o.namespace, Name: o.name,
			Owner: r.text("owner"), State: r.state(), Reason: r.text("reconcile_info"), Created: r.created(),
		})
	}
	slices.SortFunc(objects, func(a, b stages.Object) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return objects, nil
}

// state is kapp's word for an object's health; that it couldn't be told counts as failed.
func (r row) state() string {
	if state := r.text("reconcile_state"); state != "error" && state != "unknown" {
		return state
	}
	return "fail"
}
