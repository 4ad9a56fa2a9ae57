package kapp

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	ctlcap "carvel.dev/kapp/pkg/kapp/clusterapply"
	cmdcore "carvel.dev/kapp/pkg/kapp/cmd/core"
	cmdtools "carvel.dev/kapp/pkg/kapp/cmd/tools"
	ctlconf "carvel.dev/kapp/pkg/kapp/config"
	ctldiff "carvel.dev/kapp/pkg/kapp/diff"
	ctldgraph "carvel.dev/kapp/pkg/kapp/diffgraph"
	"carvel.dev/kapp/pkg/kapp/logger"
	ctlres "carvel.dev/kapp/pkg/kapp/resources"
	ctlresm "carvel.dev/kapp/pkg/kapp/resourcesmisc"
	"github.com/cppforlife/go-cli-ui/ui"

	"strake.dev/strake/internal/workload"
	"strake.dev/strake/stages"
)

// A changeSet is what has to be done to bring the cluster to where it is to be.
type changeSet struct {
	graph   *ctldgraph.ChangeGraph
	changes []*change
	mask    []ctlconf.DiffMaskRule
	// waiting makes changes whose state is looked up in copies of the objects.
	waiting func(ctlres.Resources) ctlcap.ClusterChangeFactory
}

// A change is what is done to one object, or only that it is waited for.
type change struct {
	action
	node *ctldgraph.Change
	diff ctldiff.Change
}

// An action is kapp's own part of a change.
type action interface {
	ctlcap.ChangeView
	Apply() (retryable bool, messages []string, err error)
	ApplyDescription() string
	WaitDescription() string
}

var _ action = (*ctlcap.ClusterChange)(nil)

// A check tells whether a change is done.
type check interface {
	IsDoneApplying() (ctlresm.DoneApplyState, []string, error)
}

// compare finds the changes between what is there and what is wanted.
func (s *session) compare(there, want []ctlres.Resource, conf ctlconf.Conf) (*changeSet, error) {
	var set *changeSet
	err := guarded(func() (err error) {
		set, err = s.changes(there, want, conf)
		return err
	})
	return set, s.explain(err)
}

func (s *session) changes(there, want []ctlres.Resource, conf ctlconf.Conf) (*changeSet, error) {
	flags, apply := s.diffFlags(), s.flags.apply()
	opts := ctldiff.ChangeOpts{AllowAnchoredDiff: flags.AnchoredDiff}
	factory := ctldiff.NewChangeFactory(conf.RebaseMods(), conf.DiffAgainstLastAppliedFieldExclusionMods(),
		conf.DiffAgainstExistingFieldExclusionMods(), opts)
	if s.flags.delete != nil {
		factory = ctldiff.NewChangeFactory(nil, nil, nil, opts)
	}
	s.objects.factory = factory
	diffs, err := s.diffs(there, want, conf, factory)
	if err != nil {
		return nil, err
	}
	converged := ctlcap.NewConvergedResourceFactory(conf.WaitRules(), ctlcap.ConvergedResourceFactoryOpts{IgnoreFailingAPIServices: s.ignoresFailing()})
	sets := ctldiff.NewChangeSetFactory(flags.ChangeSetOpts, factory)
	silent := cmdcore.NewPlainMessagesUI(ui.NewNoopUI())
	set := &changeSet{mask: conf.DiffMaskRules()}
	set.waiting = func(r ctlres.Resources) ctlcap.ClusterChangeFactory {
		id := ctlres.NewIdentifiedResources(s.clients.core, s.clients.types, r, []string{s.target.objects}, logger.NewNoopLogger())
		return ctlcap.NewClusterChangeFactory(apply.ClusterChangeOpts, id, factory, sets, converged, silent, conf.DiffMaskRules())
	}
	_, set.graph, err = ctlcap.NewClusterChangeSet(diffs, apply.ClusterChangeSetOpts, set.waiting(s.objects),
		conf.ChangeGroupBindings(), conf.ChangeRuleBindings(), silent, logger.NewNoopLogger()).Calculate()
	if err != nil {
		return nil, err
	}
	byKey := make(map[string]ctldiff.Change, len(diffs))
	for _, d := range diffs {
		byKey[keyOf(d.NewOrExistingResource())] = d
	}
	for _, node := range set.graph.All() {
		a, ok := node.Change.(action)
		if !ok {
			return nil, fmt.Errorf("internal error: kapp's library has changes of type %T", node.Change)
		}
		set.changes = append(set.changes, &change{action: a, node: node, diff: byKey[keyOf(a.Resource())]})
	}
	slices.SortStableFunc(set.changes, func(a, b *change) int {
		x, y := a.Resource(), b.Resource()
		return cmp.Or(cmp.Compare(x.Namespace(), y.Namespace()), cmp.Compare(x.Name(), y.Name()), cmp.Compare(x.Kind(), y.Kind()))
	})
	return set, nil
}

// diffs compares objects one by one.
func (s *session) diffs(there, want []ctlres.Resource, conf ctlconf.Conf, factory ctldiff.ChangeFactory) ([]ctldiff.Change, error) {
	flags := s.diffFlags()
	filter, err := flags.DiffFilter()
	if err != nil {
		return nil, err
	}
	var diffs []ctldiff.Change
	if s.flags.delete != nil {
		diffs, err = ctldiff.NewChangeSet(there, nil, flags.ChangeSetOpts, factory).Calculate()
	} else {
		if err := ctldiff.NewRenewableResources(there, want).Prepare(); err != nil {
			return nil, err
		}
		diffs, err = ctldiff.NewChangeSetWithVersionedRs(there, want, conf.TemplateRules(), flags.ChangeSetOpts, factory).Calculate()
	}
	if err != nil {
		return nil, err
	}
	return filter.Apply(diffs), nil
}

func (s *session) diffFlags() *cmdtools.DiffFlags {
	if s.flags.delete != nil {
		return &s.flags.delete.DiffFlags
	}
	return &s.flags.deploy.DiffFlags
}

func (s *session) ignoresFailing() bool {
	if s.flags.delete != nil {
		return s.flags.delete.ResourceTypesFlags.IgnoreFailingAPIServices
	}
	return s.flags.deploy.ResourceTypesFlags.IgnoreFailingAPIServices
}

// ops are the words for what is done.
var ops = map[ctlcap.ClusterChangeApplyOp]string{
	ctlcap.ClusterChangeApplyOpAdd: "create", ctlcap.ClusterChangeApplyOpUpdate: "update",
	ctlcap.ClusterChangeApplyOpDelete: "delete", ctlcap.ClusterChangeApplyOpExists: "exists",
	ctlcap.ClusterChangeApplyOpNoop: "noop",
}

func (c *change) op() string { return ops[c.ApplyOp()] }

// writes tells whether the change writes to the cluster.
func (c *change) writes() bool {
	switch c.ApplyOp() {
	case ctlcap.ClusterChangeApplyOpAdd, ctlcap.ClusterChangeApplyOpUpdate, ctlcap.ClusterChangeApplyOpDelete:
		return true
	case ctlcap.ClusterChangeApplyOpNoop, ctlcap.ClusterChangeApplyOpExists:
	}
	return false
}

func (c *change) object() object {
	r := c.Resource()
	return newObject(r.Kind(), r.Name(), r.APIVersion(), r.Namespace())
}

// tell describes the change for users.
func (c *change) tell() stages.Change {
	r := c.Resource()
	told := stages.Change{Op: c.op(), Kind: r.Kind(), Namespace: r.Namespace(), Name: r.Name()}
	switch c.ApplyOp() {
	case ctlcap.ClusterChangeApplyOpNoop:
		// kapp only waits for such an object.
		told.Reason = "not ready yet"
		if was := c.ClusterOriginalResource(); was != nil {
			state := ctlcap.NewValueResourceConverged(was)
			if info := strings.Join(strings.Fields(state.ReasonVal.String()), " "); info != "" {
				told.Reason += ": " + info
			}
		}
	case ctlcap.ClusterChangeApplyOpAdd:
		told.Reason = "not in the cluster"
	case ctlcap.ClusterChangeApplyOpUpdate:
		told.Reason = "differs from the cluster"
	case ctlcap.ClusterChangeApplyOpDelete:
		told.Reason = "no longer in the manifests"
	case ctlcap.ClusterChangeApplyOpExists:
		told.Reason = "has to be made by somebody else"
	}
	if was, will := c.diff.ExistingResource(), c.diff.NewResource(); was != nil && will != nil {
		told.Images = workload.ImageChanges(was.UnstructuredObject(), will.UnstructuredObject())
	} else if will != nil && c.writes() {
		told.Images = workload.ImageChanges(nil, will.UnstructuredObject())
	}
	if strategy, err := c.ApplyStrategyOp(); err == nil && strategy != "" {
		told.Reason += " (" + strings.ReplaceAll(string(strategy), "-", " ") + ")"
	}
	return told
}

// text is the difference as kapp shows it, with secrets masked.
func (c *change) text(mask []ctlconf.DiffMaskRule) string {
	const context = 2
	if c.ConfigurableTextDiff() == nil {
		return ""
	}
	view := ctldiff.NewTextDiffView(c.ConfigurableTextDiff(), mask, ctldiff.TextDiffViewOpts{Context: context, LineNumbers: true, Mask: true})
	return strings.TrimRight(plain(view.String()), "\n") + "\n"
}

// summary is kapp's own, for its record of the change.
func (set *changeSet) summary() string {
	counts := ctlcap.NewChangesCountsView()
	for _, c := range set.changes {
		counts.Add(c.ApplyOp(), c.WaitOp())
	}
	return counts.String()
}

// told is the summary for users.
func (set *changeSet) told() string {
	counts := map[string]int{}
	for _, c := range set.changes {
		if c.writes() {
			counts[done[c.op()]]++
		}
	}
	var parts []string
	for _, word := range []string{"created", "updated", "deleted"} {
		if n := counts[word]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, word))
		}
	}
	if len(parts) == 0 {
		return "waited for what wasn't ready"
	}
	return strings.Join(parts, ", ")
}
