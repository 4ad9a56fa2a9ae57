package appvalues

import (
	"context"
	"errors"

	"strake.dev/strake/stages"
)

// KappControllerVersion is the answer to “kappControllerVersion: {}”: the release of kapp-controller
// whose App strake follows. kapp-controller gives its own.
const KappControllerVersion = "0.51.0"

var errNoCluster = errors.New("there is no cluster to ask")

// KubernetesVersion returns the version that v says, or else that of the cluster which the App is
// deployed to.
func (l *Lookup) KubernetesVersion(ctx context.Context, v *Version) (string, error) {
	if v.Version != "" {
		return v.Version, nil
	}
	if l.job.Target == nil {
		return "", stages.WithHint(errNoCluster, "say which version: “kubernetesVersion: {version: 1.36.3}”")
	}
	found, err := l.job.Target.Version(ctx)
	return found, orSay(err, "kubernetesVersion: {version: 1.36.3}")
}

// KubernetesAPIs returns the group versions that a lists, or else those of the cluster which the App
// is deployed to.
func (l *Lookup) KubernetesAPIs(ctx context.Context, a *GroupVersions) ([]string, error) {
	if a.GroupVersions != nil {
		return a.GroupVersions, nil
	}
	if l.job.Target == nil {
		return nil, stages.WithHint(errNoCluster, "list them: “kubernetesAPIs: {groupVersions: [v1, apps/v1]}”")
	}
	found, err := l.job.Target.GroupVersions(ctx)
	return found, orSay(err, "kubernetesAPIs: {groupVersions: [v1, apps/v1]}")
}

// orSay adds to an error of the cluster that it need not be asked.
func orSay(err error, example string) error {
	if err == nil {
		return nil
	}
	hint := "or give the value, so that no cluster is asked: “" + example + "”"
	if first := stages.Hint(err); first != "" {
		hint = first + "; " + hint
	}
	return stages.WithHint(err, "%s", hint)
}
