package kapp

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"strings"

	ctlapp "carvel.dev/kapp/pkg/kapp/app"
	ctlconf "carvel.dev/kapp/pkg/kapp/config"
	"carvel.dev/kapp/pkg/kapp/logger"
	ctlres "carvel.dev/kapp/pkg/kapp/resources"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"strake.dev/strake/stages"
)

// desired is what the manifests want the cluster to have.
type desired struct {
	conf ctlconf.Conf
	// settings is a digest of kapp's own Config documents.
	settings string
	// resources are the objects, with their namespaces and kapp's labels.
	resources []ctlres.Resource
	// namespaces are those of the objects, with kapp's word for none.
	namespaces []string
}

// parse reads the manifests, which hold objects and kapp's own Config documents.
func parse(m stages.Manifests) (*desired, error) {
	all, err := ctlres.NewFileResource(ctlres.NewBytesSource(m)).Resources()
	if err != nil {
		return nil, fmt.Errorf("manifests: %s", flatten(err.Error()))
	}
	d := &desired{}
	if d.settings, err = settings(all); err != nil {
		return nil, err
	}
	if d.resources, d.conf, err = ctlconf.NewConfFromResourcesWithDefaults(all); err != nil {
		return nil, fmt.Errorf("manifests: %s", flatten(err.Error()))
	}
	return d, nil
}

func settings(all []ctlres.Resource) (string, error) {
	sum := sha256.New()
	for _, r := range all {
		_, labelled := r.Labels()["kapp.k14s.io/config"]
		if labelled || strings.HasPrefix(r.APIVersion(), "kapp.k14s.io/") {
			if err := addJSON(sum, r); err != nil {
				return "", err
			}
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func addJSON(sum hash.Hash, r ctlres.Resource) error {
	text, err := r.AsCompactBytes()
	if err != nil {
		return fmt.Errorf("%s: %w", describe(r), err)
	}
	sum.Write(text)
	sum.Write([]byte{'\n'})
	return nil
}

// wanted is a digest of what an object is to be, and of what influences how it gets so.
func (d *desired) wanted(r ctlres.Resource) string {
	sum := sha256.New()
	sum.Write([]byte(d.settings))
	if err := addJSON(sum, r); err != nil {
		return "" // can't be: it was read from text
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// place gives the objects their namespaces and checks them, by kapp's own rules.
func (s *session) place(d *desired) error {
	opts := s.flags.deploy.DeployFlags.PrepareResourcesOpts
	opts.DefaultNamespace = s.target.objects
	opts.BeforeModificationFunc = func(rs []ctlres.Resource) []ctlres.Resource { return rs }
	prepare := ctlapp.NewPreparation(s.clients.types, opts)
	var err error
	if d.resources, err = prepare.PrepareResources(d.resources); err != nil {
		return s.explain(err)
	}
	if err := prepare.ValidateResources(d.resources); err != nil {
		return s.explain(err)
	}
	return nil
}

// label gives the objects kapp's labels of the app.
func (s *session) label(d *desired, meta ctlapp.Meta) error {
	labeled := ctlres.NewLabeledResources(selector(meta), s.identified(), logger.NewNoopLogger())
	err := labeled.Prepare(d.resources, d.conf.OwnershipLabelMods(),
		d.conf.LabelScopingMods(s.flags.deploy.DeployFlags.DefaultLabelScopingRules), d.conf.AdditionalLabels())
	if err != nil {
		return s.explain(err)
	}
	d.namespaces = nil
	for _, r := range d.resources {
		ns := r.Namespace()
		if ns == "" {
			ns = "(cluster)"
		}
		if !slices.Contains(d.namespaces, ns) {
			d.namespaces = append(d.namespaces, ns)
		}
	}
	slices.Sort(d.namespaces)
	filter, err := s.flags.deploy.ResourceFilterFlags.ResourceFilter()
	if err != nil {
		return s.explain(err)
	}
	d.resources = filter.Apply(d.resources)
	return nil
}

func groupKinds(rs []ctlres.Resource) []schema.GroupKind {
	var found []schema.GroupKind
	for _, r := range rs {
		if gk := r.GroupKind(); !slices.Contains(found, gk) {
			found = append(found, gk)
		}
	}
	return found
}

// timely are annotations after which unchanged manifests may have to be applied all the same, or that
// are about objects of somebody else's.
var timely = []string{
	"kapp.k14s.io/nonce", "kapp.k14s.io/renew-duration", "kapp.k14s.io/exists", "kapp.k14s.io/noop",
}

// provable tells whether unchanged manifests and objects mean that there is nothing to do.
func (s *session) provable() bool {
	f := s.flags.deploy
	if f.DeployFlags.Patch || f.DiffFlags.Filter != "" || !f.DiffFlags.AgainstLastApplied || f.DiffFlags.Changes ||
		f.ApplyFlags.ApplyIgnored || f.ApplyFlags.WaitIgnored || s.filtered() {
		return false
	}
	return !slices.ContainsFunc(timely, func(a string) bool { return bytes.Contains(s.job.Manifests, []byte(a)) })
}

// filtered tells whether the options leave out some objects.
func (s *session) filtered() bool {
	return slices.ContainsFunc([]string{
		"filter", "filter-age", "filter-kind", "filter-kind-name", "filter-kind-ns", "filter-kind-ns-name", "filter-name", "filter-ns",
	}, s.flags.set.Changed)
}

// engine is raised when equal input could give another result.
const engine = "kapp/1"

// input is a digest of everything that a deploy depends on apart from the cluster.
func (s *session) input() string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n%q\n%q\n%q\n", engine, s.options, s.target.objects, s.job.Manifests.Digest())
	return hex.EncodeToString(sum.Sum(nil))
}

// describe names an object as errors do.
func describe(r ctlres.Resource) string {
	return newObject(r.Kind(), r.Name(), r.APIVersion(), r.Namespace()).String()
}
