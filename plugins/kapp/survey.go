package kapp

import (
	"cmp"
	"fmt"
	"slices"

	ctlapp "carvel.dev/kapp/pkg/kapp/app"
	ctlcap "carvel.dev/kapp/pkg/kapp/clusterapply"
	ctlres "carvel.dev/kapp/pkg/kapp/resources"

	"strake.dev/strake/internal/access"
	"strake.dev/strake/stages"
)

// A rollout is one deploy, from what is known before it to the changes that it takes.
type rollout struct {
	s *session
	// record is the app's own, or that of its former name; nil for a new app.
	record *record
	app    *ctlapp.RecordedApp
	meta   ctlapp.Meta
	want   *desired
	there  *existing
	set    *changeSet
	found  *findings
}

// survey finds out what there is to do, and everything that stands against it. It writes nothing.
func (s *session) survey(rec *record) (*rollout, error) {
	d := &rollout{s: s, record: rec, app: s.app(s.target.app), found: s.newFindings()}
	var err error
	if d.want, err = parse(s.job.Manifests); err != nil {
		return nil, err
	}
	f := s.flags.deploy.DeployFlags
	if len(d.want.resources) == 0 && !f.Patch && !f.AllowEmpty && !s.job.Limits.AllowEmpty {
		return nil, stages.WithHint(fmt.Errorf("the manifests hold no object: everything that is deployed would be deleted"),
			"use “strake delete” for that, or allow it with --allow-empty or the raw option --dangerous-allow-empty-list-of-resources=true")
	}
	if d.record == nil && s.former() != "" {
		if d.record, err = s.readRecord(s.former()); err != nil {
			return nil, err
		}
	}
	d.want.resources = s.knownTypes(d.want.resources, d.found)
	if err := s.place(d.want); err != nil {
		return nil, err
	}
	s.ownRecord(d.want.resources, d.found)
	s.tooLarge(d.want.resources, d.found)
	if err := s.checkNamespaces(d.want.resources, d.found); err != nil {
		return nil, err
	}
	if d.record != nil {
		d.meta = d.record.meta
	} else {
		if _, err := d.app.CreateOrUpdate("", nil, true); err != nil {
			return nil, s.explain(err)
		}
		if d.meta, err = d.app.Meta(); err != nil {
			return nil, s.explain(err)
		}
	}
	if err := s.label(d.want, d.meta); err != nil {
		return nil, err
	}
	if err := d.look(); err != nil {
		return nil, err
	}
	if err := d.compare(); err != nil {
		return nil, cmp.Or(d.found.err(), err)
	}
	if err := d.permitted(); err != nil {
		return nil, cmp.Or(d.found.err(), err)
	}
	if err := d.found.err(); err != nil {
		return nil, err
	}
	return d, d.checked()
}

// look finds out what the cluster has.
func (d *rollout) look() (err error) {
	s := d.s
	proof := d.record.proofFor(s)
	d.there, err = s.look(d.meta, d.want, d.record == nil, d.found.missing, proof, d.found)
	return err
}

// compare finds the changes, leaving out what is known to be as it has to be.
func (d *rollout) compare() (err error) {
	want := slices.DeleteFunc(slices.Clone(d.want.resources), func(r ctlres.Resource) bool { return d.there.same[keyOf(r)] })
	if d.set, err = d.s.compare(d.there.resources, want, d.want.conf); err != nil {
		return err
	}
	deleted := 0
	for _, c := range d.set.changes {
		if c.ApplyOp() == ctlcap.ClusterChangeApplyOpDelete {
			deleted++
		}
	}
	if d.s.flags.deploy.DeployFlags.AllowEmpty || d.s.job.Limits.AllowEmpty && len(d.want.resources) == 0 {
		return nil
	}
	return d.s.job.Limits.Prune(deleted, d.there.owned)
}

// permitted finds rights that the identity lacks for the changes.
func (d *rollout) permitted() error {
	var needs []access.Need
	for _, c := range d.set.changes {
		if !c.writes() {
			continue
		}
		r := c.Resource()
		t, err := d.s.clients.types.Find(r)
		if err != nil || d.found.missing[r.Namespace()] {
			continue // it comes with the manifests: who may make it can't be asked yet
		}
		need := access.Need{Verb: c.op(), Group: t.GroupVersionResource.Group, Resource: t.Resource, Namespace: r.Namespace()}
		if !slices.Contains(needs, need) {
			needs = append(needs, need)
		}
	}
	if d.record == nil && !d.found.missing[d.s.target.record] {
		needs = append(needs, access.Need{Verb: "create", Resource: "configmaps", Namespace: d.s.target.record})
	}
	missing, err := access.Missing(d.s.ctx, d.s.clients.core, needs)
	if err != nil {
		return fmt.Errorf("rights of the deploying identity: %w", d.s.explain(err))
	}
	for _, n := range missing {
		d.found.add(d.first(n), hintForbidden, "can't be applied: the deploying identity has no right to %s", n)
	}
	return nil
}

// checked runs kapp's own checks that the options turn on.
func (d *rollout) checked() error {
	checks := d.s.flags.deploy.PreflightChecks
	if d.pending() == 0 || checks == nil {
		return nil
	}
	err := guarded(func() error {
		if err := checks.SetConfig(d.want.conf.PreflightRules()); err != nil {
			return fmt.Errorf("preflightRules: %w", err)
		}
		return checks.Run(d.s.ctx, d.set.graph)
	})
	return d.s.explain(err)
}

// first is an object that a right is needed for.
func (d *rollout) first(n access.Need) ctlres.Resource {
	for _, c := range d.set.changes {
		r := c.Resource()
		if t, err := d.s.clients.types.Find(r); err == nil && c.op() == n.Verb && t.Resource == n.Resource && r.Namespace() == n.Namespace {
			return r
		}
	}
	return nil
}

// former is the name that kapp-controller gave an App's app in earlier versions.
func (s *session) former() string {
	if s.job.App.Record == "" || s.job.App.Record == s.job.App.Name {
		return ""
	}
	return s.job.App.Name + "-ctrl"
}

// pending counts the changes.
func (d *rollout) pending() int { return len(d.set.changes) }
