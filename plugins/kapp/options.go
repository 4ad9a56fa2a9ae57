package kapp

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	cmdapp "carvel.dev/kapp/pkg/kapp/cmd/app"
	cmdcore "carvel.dev/kapp/pkg/kapp/cmd/core"
	"carvel.dev/kapp/pkg/kapp/crdupgradesafety"
	"carvel.dev/kapp/pkg/kapp/logger"
	"carvel.dev/kapp/pkg/kapp/permissions"
	"carvel.dev/kapp/pkg/kapp/preflight"
	"github.com/cppforlife/go-cli-ui/ui"
	"github.com/spf13/pflag"
)

// A command is one of kapp's and which of its flags an App may set. The lists are kapp-controller's, and a
// little more: what they lack would reach outside of the app (other kubeconfigs, files, other apps) or has
// a field of its own.
type command struct {
	name    string
	allowed []string
}

var (
	sharedFlags = []string{
		"--column", "--debug", "--json", "--tty",
		"--dangerous-ignore-failing-api-services", "--dangerous-scope-to-fallback-allowed-namespaces",
		"--filter", "--filter-age", "--filter-kind", "--filter-kind-name", "--filter-kind-ns",
		"--filter-kind-ns-name", "--filter-name", "--filter-ns",
		"--kube-api-qps", "--kube-api-burst",
	}
	changeFlags = []string{
		"--diff-changes", "--diff-against-last-applied", "--diff-context", "--diff-line-numbers",
		"--diff-mask", "--diff-run", "--diff-summary", "--diff-anchored",
		"--apply-check-interval", "--apply-concurrency", "--apply-default-update-strategy",
		"--apply-ignored", "--apply-timeout", "--exit-early-on-apply-error",
		"--wait", "--wait-check-interval", "--wait-concurrency", "--wait-ignored", "--wait-timeout",
		"--exit-early-on-wait-error",
	}

	deployOptions = command{"deploy", slices.Concat(sharedFlags, changeFlags, []string{
		"--dangerous-allow-empty-list-of-resources",
		"--existing-non-labeled-resources-check", "--existing-non-labeled-resources-check-concurrency",
		"--dangerous-override-ownership-of-existing-resources",
		"--into-ns", "--map-ns", "--logs", "--logs-all", "--app-changes-max-to-keep", "--labels", "--patch",
		// kapp-controller doesn't have these: kapp's own checks, and a limit for each object.
		"--preflight", "--wait-resource-timeout",
	})}
	deleteOptions  = command{"delete", slices.Concat(sharedFlags, changeFlags)}
	inspectOptions = command{"inspect", slices.Concat(sharedFlags, []string{"--raw", "--status", "--tree"})}
)

func (c command) allows(flag string) bool { return slices.Contains(c.allowed, flag) }

// option is kapp-controller's form of a flag, which leaves no room for a second one.
var option = pattern(`\A(--[a-z]+(?:-[a-z]+)*)=(.+)\z`)

// check tells whether an option may be given, and returns the flag that it sets.
func (c command) check(text string) (flag string, err error) {
	m := option().FindStringSubmatch(text)
	if m == nil {
		return "", fmt.Errorf("%q is not an option of the form --name=value", text)
	}
	flag = m[1]
	if !c.allows(flag) {
		return flag, fmt.Errorf("%s is not an option that may be given to kapp %s here", flag, c.name)
	}
	p := c.flags(nil)
	if err := p.set.Parse([]string{text}); err != nil {
		want := expected[p.set.Lookup(strings.TrimPrefix(flag, "--")).Value.Type()]
		if want == "" {
			return flag, err
		}
		return flag, fmt.Errorf("%s: expected %s, found %q", flag, want, m[2])
	}
	return flag, p.check()
}

// expected are values of flags by their types, in words.
var expected = map[string]string{
	"bool": "true or false", "int": "a whole number", "float32": "a number", "duration": "a duration such as 90s or 5m",
}

// flags are the flags of one use of a kapp command, and what they set.
type flags struct {
	set     *pflag.FlagSet
	deploy  *cmdapp.DeployOptions
	delete  *cmdapp.DeleteOptions
	inspect *cmdapp.InspectOptions

	// qps and burst limit the requests to the server if they are given.
	qps   float32
	burst int
}

var making sync.Mutex

// flags returns kapp's own flags of the command with their defaults.
func (c command) flags(deps cmdcore.DepsFactory) *flags {
	// Making kapp's commands writes to a map that is global to the program.
	making.Lock()
	defer making.Unlock()
	f := &flags{}
	out := ui.NewNoopUI()
	quiet, none := logger.NewNoopLogger(), cmdcore.NewFlagsFactory(nil, deps)
	switch c.name {
	case deployOptions.name:
		f.deploy = cmdapp.NewDeployOptions(out, deps, quiet, preflights(deps))
		f.set = cmdapp.NewDeployCmd(f.deploy, none).Flags()
	case deleteOptions.name:
		f.delete = cmdapp.NewDeleteOptions(out, deps, quiet)
		f.set = cmdapp.NewDeleteCmd(f.delete, none).Flags()
	default:
		f.inspect = cmdapp.NewInspectOptions(out, deps, quiet)
		f.set = cmdapp.NewInspectCmd(f.inspect, none).Flags()
	}
	// These are flags of the whole kapp program. The first four are about its text output, which
	// doesn't exist here; they are accepted because Apps have them.
	f.set.StringSlice("column", nil, "")
	f.set.Bool("debug", false, "")
	f.set.Bool("json", false, "")
	f.set.Bool("tty", false, "")
	f.set.Float32Var(&f.qps, "kube-api-qps", 0, "")
	f.set.IntVar(&f.burst, "kube-api-burst", 0, "")
	return f
}

// preflights are kapp's own optional checks; kapp Config documents among the manifests turn them on.
func preflights(deps cmdcore.DepsFactory) *preflight.Registry {
	return preflight.NewRegistry(map[string]preflight.Check{
		"PermissionValidation": permissions.NewPreflight(deps, false),
		"CRDUpgradeSafety":     crdupgradesafety.NewPreflight(deps, false),
	})
}

// check finds values that kapp would only stumble over while it runs.
func (f *flags) check() error {
	apply := f.apply()
	if apply == nil {
		return nil
	}
	atLeastOne := map[string]int{
		"apply-concurrency": apply.ApplyingChangesOpts.Concurrency,
		"wait-concurrency":  apply.WaitingChangesOpts.Concurrency,
	}
	notNegative := map[string]time.Duration{
		"apply-timeout":        apply.ApplyingChangesOpts.Timeout,
		"apply-check-interval": apply.ApplyingChangesOpts.CheckInterval,
		"wait-timeout":         apply.WaitingChangesOpts.Timeout,
		"wait-check-interval":  apply.WaitingChangesOpts.CheckInterval,
	}
	if f.deploy != nil {
		atLeastOne["existing-non-labeled-resources-check-concurrency"] = f.deploy.DeployFlags.ExistingNonLabeledResourcesCheckConcurrency
		if _, err := f.deploy.LabelFlags.AsMap(); err != nil {
			return fmt.Errorf("--labels: expected key=value")
		}
	}
	for name, v := range atLeastOne {
		if v < 1 {
			return fmt.Errorf("--%s: expected at least 1, found %d", name, v)
		}
	}
	for name, v := range notNegative {
		if v < 0 {
			return fmt.Errorf("--%s: expected a duration that isn't negative, found %s", name, v)
		}
	}
	strategies := []string{"", "fallback-on-replace", "always-replace", "skip"}
	if v := apply.DefaultUpdateStrategy; !slices.Contains(strategies, v) {
		return fmt.Errorf("--apply-default-update-strategy: expected one of %s, found %q", strings.Join(strategies[1:], ", "), v)
	}
	return nil
}

// apply returns the part that deploy and delete share; nil for inspect.
func (f *flags) apply() *cmdapp.ApplyFlags {
	switch {
	case f.deploy != nil:
		return &f.deploy.ApplyFlags
	case f.delete != nil:
		return &f.delete.ApplyFlags
	}
	return nil
}

// parse reads the options of an App and sets what is ours.
func (f *flags) parse(args []string) error {
	if err := f.set.Parse(args); err != nil {
		return err
	}
	if f.deploy != nil {
		f.deploy.DiffFlags.Mask, f.deploy.DiffFlags.Summary = true, true
	}
	if apply := f.apply(); apply != nil && !f.set.Changed("apply-concurrency") {
		apply.ApplyingChangesOpts.Concurrency = applyAtOnce
	}
	return nil
}

// applyAtOnce is how many objects are written at the same time. The API server sees to it that nobody
// takes too much of it (API priority and fairness).
const applyAtOnce = 16
