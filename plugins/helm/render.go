package helm

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	releaseutil "helm.sh/helm/v4/pkg/release/v1/util"

	"strake.dev/strake/internal/stdlog"
	"strake.dev/strake/stages"
)

// An Input is all that one rendering depends on.
type Input struct {
	// Chart loads the chart. A rendering changes it, so each one needs its own.
	Chart func() (*chart.Chart, error)
	// Name and Namespace are those of the release.
	Name, Namespace string
	// Values are what “helm template --values” reads, in order.
	Values []Values
	// Set are values that win over all others.
	Set map[string]any
	// KubernetesVersion is “--kube-version”; empty for the one that Helm assumes.
	KubernetesVersion string
	// KubernetesAPIs are “--api-versions”.
	KubernetesAPIs []string
	// Log is written to with what Helm warns of; nil ignores it.
	Log io.Writer
}

// Values are one file of values.
type Values struct {
	// Name is for messages.
	Name string
	Data []byte
}

// Render returns what helm template prints for the input, byte for byte.
//
// A template can't be interrupted: when ctx ends, Render returns and leaves the rendering to itself,
// which ends when it is done.
func Render(ctx context.Context, in Input) ([]byte, error) {
	type outcome struct {
		manifests []byte
		err       error
	}
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		defer func() {
			if p := recover(); p != nil {
				o = outcome{err: fmt.Errorf("helm panicked: %v", p)}
			}
			done <- o
		}()
		if in.Log == nil {
			in.Log = io.Discard
		}
		defer stdlog.To(in.Log)()
		o.manifests, o.err = render(ctx, in)
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case o := <-done:
		return o.manifests, withHint(o.err)
	}
}

func render(ctx context.Context, in Input) ([]byte, error) {
	if err := checkName(in.Name); err != nil {
		return nil, err
	}
	values, err := in.values()
	if err != nil {
		return nil, err
	}
	c, err := in.Chart()
	if err != nil {
		return nil, err
	}
	if err := checkChart(c); err != nil {
		return nil, err
	}
	if err := chartutil.ProcessDependencies(c, values); err != nil {
		return nil, fmt.Errorf("chart dependencies processing failed: %w", err)
	}
	caps, err := in.capabilities()
	if err != nil {
		return nil, err
	}
	release := common.ReleaseOptions{Name: in.Name, Namespace: in.Namespace, Revision: 1, IsInstall: true}
	toRender, err := util.ToRenderValuesWithSchemaValidation(c, values, release, caps, false)
	if err != nil {
		return nil, err
	}
	if want := c.Metadata.KubeVersion; want != "" && !chartutil.IsCompatibleRange(want, caps.KubeVersion.String()) {
		return nil, fmt.Errorf("chart requires kubeVersion: %s which is incompatible with Kubernetes %s", want, caps.KubeVersion.Version)
	}
	files, err := engine.Engine{}.RenderWithContext(ctx, c, toRender)
	if err != nil {
		return nil, err
	}
	return print(c, files)
}

// values merges the values in the way of the command.
func (in *Input) values() (map[string]any, error) {
	merged := map[string]any{}
	for _, v := range in.Values {
		values, err := loader.LoadValues(bytes.NewReader(v.Data))
		if err != nil {
			return nil, fmt.Errorf("values of %s: %w", v.Name, err)
		}
		merged = loader.MergeMaps(merged, values)
	}
	return loader.MergeMaps(merged, in.Set), nil
}

func (in *Input) capabilities() (*common.Capabilities, error) {
	caps := common.DefaultCapabilities.Copy()
	if in.KubernetesVersion != "" {
		v, err := common.ParseKubeVersion(in.KubernetesVersion)
		if err != nil {
			return nil, fmt.Errorf("kubernetesVersion %q: %w", in.KubernetesVersion, err)
		}
		caps.KubeVersion = *v
	}
	// A slice of its own: the default one is the whole program's.
	caps.APIVersions = append(append(common.VersionSet{}, caps.APIVersions...), in.KubernetesAPIs...)
	return caps, nil
}

// checkChart refuses what helm template refuses.
func checkChart(c *chart.Chart) error {
	if t := c.Metadata.Type; t != "" && t != "application" {
		return fmt.Errorf("%s charts are not installable", t)
	}
	var missing []string
	for _, d := range c.Metadata.Dependencies {
		found := false
		for _, have := range c.Dependencies() {
			found = found || have.Name() == d.Name
		}
		if !found {
			missing = append(missing, d.Name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("dependencies of chart %s are in Chart.yaml, but missing in charts/: %s", c.Name(), strings.Join(missing, ", "))
	}
	return nil
}

// checkName checks the name of a release.
func checkName(name string) error {
	if err := chartutil.ValidateReleaseName(name); err != nil {
		return fmt.Errorf("release name %q: %w", name, err)
	}
	return nil
}

const notes = "NOTES.txt"

// print lays out the manifests as the command does: CRDs, what is sorted by kind, hooks.
func print(c *chart.Chart, files map[string]string) ([]byte, error) {
	for name := range files {
		if strings.HasSuffix(name, notes) {
			delete(files, name)
		}
	}
	hooks, manifests, err := releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, crd := range c.CRDObjects() {
		fmt.Fprintf(&b, "---\n# Source: %s\n%s\n", crd.Filename, crd.File.Data)
	}
	for _, m := range manifests {
		fmt.Fprintf(&b, "---\n# Source: %s\n%s\n", m.Name, m.Content)
	}
	out := bytes.NewBufferString(strings.TrimSpace(b.String()) + "\n")
	for _, h := range hooks {
		fmt.Fprintf(out, "---\n# Source: %s\n%s\n", h.Path, h.Manifest)
	}
	return out.Bytes(), nil
}

// hints are advice for causes that Helm's messages leave open, by a part of the message.
var hints = []struct{ cause, advice string }{
	{"missing in charts/", "put them there with “helm dependency build”, or add a fetch entry for each whose path lies in charts/"},
	{"charts are not installable", "a library chart has only helpers: use it as a dependency of another chart"},
	{"incompatible with Kubernetes", "say for which cluster to render: “kubernetesVersion: {}” asks it, “kubernetesVersion: {version: 1.36.3}” names the version"},
	{"Chart.yaml file is missing", "path names the folder with the Chart.yaml, counted from the App's folder"},
	{"values don't meet the specifications", "correct valuesFrom or --set; the schema is the chart's values.schema.json"},
}

func withHint(err error) error {
	if err == nil {
		return nil
	}
	for _, h := range hints {
		if strings.Contains(err.Error(), h.cause) {
			return stages.WithHint(err, "%s", h.advice)
		}
	}
	return err
}
