package kapp

import (
	"bytes"
	"slices"
	"time"

	ctlcap "carvel.dev/kapp/pkg/kapp/clusterapply"
	ctlres "carvel.dev/kapp/pkg/kapp/resources"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"strake.dev/strake/internal/live"
)

// proofFor returns the record's proof if it tells something about a deploy with the session's options.
func (r *record) proofFor(s *session) *live.Proof {
	if r == nil || !s.provable() {
		return nil
	}
	return r.proof
}

// upToDate tells whether there is nothing to do, and for how many objects: the last deploy was of the
// same input and by the same options, and the objects are as it has left them. It costs one list of
// metadata per kind.
func (s *session) upToDate(r *record) (objects int, ok bool) {
	proof := r.proofFor(s)
	if proof == nil || proof.Input != s.input() {
		return 0, false
	}
	listed, err := s.clients.meta.List(s.ctx, proof.Kinds, selector(r.meta), proof.Namespaces)
	if err != nil {
		return 0, false // the long way tells what is wrong
	}
	var touched []live.Object
	n := 0
	for _, o := range listed {
		if !ctlres.NewIdentityAnnotation(shellOf(o)).Valid() {
			continue // a controller has made it
		}
		switch proof.Compare(o) {
		case live.Same:
		case live.Touched:
			touched = append(touched, o)
		case live.Changed, live.Unknown:
			return 0, false
		}
		n++
	}
	return n, n == proof.Len() && s.healthy(r, touched)
}

// healthy tells whether objects of which only the status has changed still are as they have to be.
func (s *session) healthy(r *record, touched []live.Object) bool {
	if len(touched) == 0 {
		return true
	}
	if bytes.Contains(s.job.Manifests, []byte("waitRules")) {
		return false
	}
	rs, err := s.read(touched, selector(r.meta))
	if err != nil || len(rs) != len(touched) {
		return false
	}
	factory := ctlcap.NewConvergedResourceFactory(nil, ctlcap.ConvergedResourceFactoryOpts{IgnoreFailingAPIServices: s.ignoresFailing()})
	healthy := true
	err = guarded(func() error {
		for _, res := range rs {
			state, _, err := factory.New(res, nil).IsDoneApplying()
			healthy = healthy && err == nil && state.Done && state.Successful
		}
		return nil
	})
	return healthy && err == nil
}

// prove records how the objects were left.
func (s *session) prove(d *rollout) {
	var rec *record
	err := s.objects.retry(func(bool) (err error) {
		rec, err = s.readRecord(s.target.app)
		return err
	})
	if err != nil || rec == nil {
		return
	}
	n := note{
		By: s.job.Version, Objects: len(d.want.resources), Digest: s.job.Manifests.Digest(), Origin: s.job.Origin,
		Applied: rec.written().UTC(),
	}
	if n.Applied.IsZero() {
		n.Applied = time.Now().UTC()
	}
	var proof *live.Proof
	if s.provable() && s.flags.apply().Wait {
		proof = s.take(d, rec)
	}
	s.annotate(rec.config.Name, n, proof)
}

// take makes a proof of how the objects are; nil if they can't be listed. Only kinds of which an object
// was changed are listed again: if somebody else has changed one of another kind since, the proof doesn't
// hold for it, as it must.
func (s *session) take(d *rollout, rec *record) *live.Proof {
	kinds, err := s.clients.types.kinds(groupKinds(d.want.resources))
	if err != nil || len(d.want.resources) == 0 {
		return nil
	}
	again := map[schema.GroupKind]bool{}
	for _, c := range d.set.changes {
		again[c.Resource().GroupKind()] = true
	}
	changed := slices.DeleteFunc(slices.Clone(kinds), func(k live.Kind) bool {
		return d.record != nil && !again[schema.GroupKind{Group: k.Group, Kind: k.Kind}]
	})
	namespaces := s.namespaces(rec.meta, d.want)
	listed, err := s.clients.meta.List(s.ctx, changed, selector(rec.meta), namespaces)
	if err != nil {
		return nil
	}
	wanted := make(map[string]string, len(d.want.resources))
	for _, r := range d.want.resources {
		wanted[keyOf(r)] = d.want.wanted(r)
	}
	proof := &live.Proof{Input: s.input(), Kinds: kinds, Namespaces: namespaces}
	add := func(objects []live.Object, read time.Time, skip []live.Kind) {
		for _, o := range objects {
			shell := shellOf(o)
			if ctlres.NewIdentityAnnotation(shell).Valid() && !slices.Contains(skip, o.Kind) && slices.Contains(kinds, o.Kind) {
				proof.Add(o, read, wanted[keyOf(shell)])
			}
		}
	}
	if d.record != nil {
		add(d.there.listed, d.record.written(), changed)
	}
	add(listed, rec.written(), nil)
	return proof
}
