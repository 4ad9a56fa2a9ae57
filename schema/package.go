package schema

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"carvel.dev/vendir/pkg/vendir/versions"
	versionsv1 "carvel.dev/vendir/pkg/vendir/versions/v1alpha1"
)

// The kinds of kapp-controller's packaging, https://carvel.dev/kapp-controller/docs/latest/packaging/.
const (
	PackagingGroup      = "packaging.carvel.dev/v1alpha1"
	DataPackagingGroup  = "data.packaging.carvel.dev/v1alpha1"
	KindPackageInstall  = "PackageInstall"
	KindPackage         = "Package"
	KindPackageMetadata = "PackageMetadata"
)

// A PackageInstall asks for a package to be installed. With the Packages of the same file it stands
// for the App that kapp-controller would make of them.
type PackageInstall struct {
	APIVersion string             `json:"apiVersion" required:"true"`
	Kind       string             `json:"kind" required:"true"`
	Metadata   Metadata           `json:"metadata" required:"true"`
	Spec       PackageInstallSpec `json:"spec" required:"true"`
	Status     *Node              `json:"status,omitempty"`

	node *Node
}

// PackageInstallSpec says which package, with which values, and with whose rights.
type PackageInstallSpec struct {
	Identity   `json:",inline"`
	PackageRef PackageRef `json:"packageRef" required:"true"`
	// Values are those of the first template step that takes values.
	Values     []PackageValues `json:"values,omitempty"`
	SyncPeriod time.Duration   `json:"syncPeriod,omitempty"`
	Paused     bool            `json:"paused,omitempty"`
	Canceled   bool            `json:"canceled,omitempty"`
	NoopDelete bool            `json:"noopDelete,omitempty"`
}

// Validate checks what concerns more than one field.
func (s *PackageInstallSpec) Validate(n *Node) error { return s.validate(n) }

// A PackageRef selects one version of a package.
type PackageRef struct {
	RefName string `json:"refName" required:"true"`
	// VersionSelection selects the highest version that meets its constraints.
	VersionSelection *VersionSelection `json:"versionSelection" required:"true"`
}

// VersionSelection has vendir's form.
type VersionSelection struct {
	// Constraints are those of https://github.com/blang/semver; none means any version.
	Constraints string       `json:"constraints,omitempty"`
	Prereleases *Prereleases `json:"prereleases,omitempty"`
}

// Prereleases lets prereleases be selected.
type Prereleases struct {
	// Identifiers are those that may be; none means any.
	Identifiers []string `json:"identifiers,omitempty"`
}

// PackageValues names a Secret, each key of which holds values.
type PackageValues struct {
	SecretRef *PackageValuesRef `json:"secretRef" required:"true"`
}

// PackageValuesRef names a Secret.
type PackageValuesRef struct {
	Name string `json:"name" required:"true"`
	// Key is accepted, and like kapp-controller not looked at: all keys count.
	Key string `json:"key,omitempty"`
}

// A Package is one version of a package.
type Package struct {
	APIVersion string      `json:"apiVersion" required:"true"`
	Kind       string      `json:"kind" required:"true"`
	Metadata   Metadata    `json:"metadata" required:"true"`
	Spec       PackageSpec `json:"spec" required:"true"`
}

// PackageSpec holds the spec of the App that installs the package, and what is said about it.
type PackageSpec struct {
	RefName  string          `json:"refName" required:"true"`
	Version  string          `json:"version" required:"true"`
	Template PackageTemplate `json:"template" required:"true"`

	Licenses                        *Node `json:"licenses,omitempty"`
	ReleasedAt                      *Node `json:"releasedAt,omitempty"`
	CapacityRequirementsDescription *Node `json:"capacityRequirementsDescription,omitempty"`
	// CapactiyRequirementsDescription is how kapp-controller spells it.
	CapactiyRequirementsDescription *Node `json:"capactiyRequirementsDescription,omitempty"`
	ReleaseNotes                    *Node `json:"releaseNotes,omitempty"`
	ValuesSchema                    *Node `json:"valuesSchema,omitempty"`
	IncludedSoftware                *Node `json:"includedSoftware,omitempty"`
	// KappControllerVersionSelection is for kapp-controller, which isn't asked here.
	KappControllerVersionSelection *Node `json:"kappControllerVersionSelection,omitempty"`
	// KubernetesVersionSelection is not checked: what doesn't suit a cluster is found before anything
	// is deployed to it.
	KubernetesVersionSelection *Node `json:"kubernetesVersionSelection,omitempty"`
}

// PackageTemplate holds the spec of the App.
type PackageTemplate struct {
	Spec *Node `json:"spec" required:"true"`
}

// Annotations of a PackageInstall that change the App.
const (
	annotationYttPaths       = "ext.packaging.carvel.dev/ytt-paths-from-secret-name"
	annotationHelmValues     = "ext.packaging.carvel.dev/helm-template-values-from-secret-name"
	annotationHelmName       = "ext.packaging.carvel.dev/helm-template-name"
	annotationHelmNs         = "ext.packaging.carvel.dev/helm-template-namespace"
	annotationYttOverlays    = "ext.packaging.carvel.dev/ytt-data-values-overlays"
	annotationFetchSecret    = "ext.packaging.carvel.dev/fetch-%d-secret-name"
	annotationPackageName    = "packaging.carvel.dev/package-ref-name"
	annotationPackageVersion = "packaging.carvel.dev/package-version"
)

// app returns the App that the PackageInstall stands for, and where it stands.
func (i *PackageInstall) app(packages []Package) (*App, error) {
	p, err := i.choose(packages)
	if err != nil {
		return nil, err
	}
	spec, err := i.adjust(p.Spec.Template.Spec)
	if err != nil {
		return nil, err
	}
	annotations := maps.Clone(i.Metadata.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[annotationPackageName], annotations[annotationPackageVersion] = p.Spec.RefName, p.Spec.Version
	metadata, err := i.node.Get("metadata").With("annotations", annotations)
	if err != nil {
		return nil, err
	}
	node, err := newMapping(i.node, "apiVersion", KappControllerGroup, "kind", KindApp, "metadata", metadata, "spec", spec)
	if err != nil {
		return nil, err
	}
	app := &App{node: node, APIVersion: KappControllerGroup, Kind: KindApp}
	return app, errors.Join(Decode(metadata, &app.Metadata), Decode(spec, &app.Spec))
}

// Validate keeps where the PackageInstall stands.
func (i *PackageInstall) Validate(n *Node) error {
	i.node = n
	return nil
}

// choose returns the package with the highest version that meets the constraints.
func (i *PackageInstall) choose(packages []Package) (*Package, error) {
	ref := i.Spec.PackageRef
	at := i.node.Get("spec").Get("packageRef")
	byVersion := map[string]*Package{}
	var names []string
	for k := range packages {
		p := &packages[k]
		names = append(names, p.Spec.RefName)
		if p.Spec.RefName == ref.RefName {
			byVersion[p.Spec.Version] = p
		}
	}
	known := slices.Sorted(maps.Keys(byVersion))
	if len(known) == 0 {
		d := at.Get("refName").Errorf("no Package %q in the file", ref.RefName)
		d.Hint = "the Package stands in the same file as the PackageInstall"
		if near := Suggest(ref.RefName, names); near != "" {
			d.Hint = near
		}
		return nil, d
	}
	version, err := versions.HighestConstrainedVersion(known, ref.VersionSelection.carvel())
	if err != nil {
		d := at.Get("versionSelection").Errorf("no version of Package %q is selected: %s", ref.RefName, err)
		d.Hint = "the file has " + strings.Join(known, ", ")
		return nil, d
	}
	return byVersion[version], nil
}

// carvel returns the selection in vendir's form. A constraint that is a prerelease itself selects it.
func (s *VersionSelection) carvel() versionsv1.VersionSelection {
	semver := &versionsv1.VersionSelectionSemver{Constraints: s.Constraints}
	if s.Prereleases != nil {
		semver.Prereleases = &versionsv1.VersionSelectionSemverPrereleases{Identifiers: s.Prereleases.Identifiers}
	} else if v, err := versions.NewSemver(s.Constraints); err == nil && len(v.Pre) > 0 {
		semver.Prereleases = &versionsv1.VersionSelectionSemverPrereleases{}
	}
	return versionsv1.VersionSelection{Semver: semver}
}

// adjust puts into the package's spec what the PackageInstall adds to it and what only it says.
func (i *PackageInstall) adjust(spec *Node) (*Node, error) {
	var err error
	for _, key := range []string{"serviceAccountName", "cluster", "defaultNamespace", "syncPeriod", "noopDelete", "paused", "canceled"} {
		spec = spec.without(key)
		if own := i.node.Get("spec").Get(key); own != nil {
			if spec, err = spec.With(key, own); err != nil {
				return nil, err
			}
		}
	}
	fetch, err := each(spec.Get("fetch"), i.fetchSecret)
	if err != nil {
		return nil, err
	}
	adjusting := &adjusting{install: i}
	template, err := each(spec.Get("template"), func(_ int, n *Node) (*Node, error) { return adjusting.template(n) })
	if err != nil {
		return nil, err
	}
	for _, edit := range []struct {
		key   string
		value *Node
	}{{"fetch", fetch}, {"template", template}} {
		if edit.value == nil {
			continue
		}
		if spec, err = spec.With(edit.key, edit.value); err != nil {
			return nil, err
		}
	}
	return spec, nil
}

// each returns a copy of a list with each item as edit returns it.
func each(list *Node, edit func(int, *Node) (*Node, error)) (*Node, error) {
	if list == nil {
		return nil, nil
	}
	out := *list.yaml
	out.Content = slices.Clone(out.Content)
	for k, item := range list.Items() {
		n, err := edit(k, item)
		if err != nil {
			return nil, err
		}
		out.Content[k] = n.yaml
	}
	return list.child(&out, list.path), nil
}

// fetchSecret sets the Secret that an annotation names for the source at a position.
func (i *PackageInstall) fetchSecret(position int, n *Node) (*Node, error) {
	secret := i.Metadata.Annotations[fmt.Sprintf(annotationFetchSecret, position)]
	if secret == "" {
		return n, nil
	}
	ref := map[string]any{"name": secret}
	for _, kind := range []string{"image", "http", "git", "imgpkgBundle"} {
		if source := n.Get(kind); source != nil {
			return within(n, kind, func(source *Node) (*Node, error) { return source.With("secretRef", ref) })
		}
	}
	if n.Get("helmChart").Get("repository") == nil {
		return n, nil
	}
	return within(n, "helmChart", func(chart *Node) (*Node, error) {
		return within(chart, "repository", func(r *Node) (*Node, error) { return r.With("secretRef", ref) })
	})
}

// within returns a copy of a mapping with the value of a key as edit returns it.
func within(n *Node, key string, edit func(*Node) (*Node, error)) (*Node, error) {
	value, err := edit(n.Get(key))
	if err != nil {
		return nil, err
	}
	return n.With(key, value)
}

// adjusting edits template steps: each addition goes to the first step that takes it.
type adjusting struct {
	install           *PackageInstall
	helm, ytt, values bool
}

func (a *adjusting) template(n *Node) (*Node, error) {
	switch {
	case n.Get("helmTemplate") != nil:
		return within(n, "helmTemplate", a.helmTemplate)
	case n.Get("ytt") != nil:
		return within(n, "ytt", a.yttTemplate)
	default:
		return n, nil
	}
}

func (a *adjusting) helmTemplate(n *Node) (_ *Node, err error) {
	annotations := a.install.Metadata.Annotations
	if !a.helm {
		a.helm = true
		for key, annotation := range map[string]string{"name": annotationHelmName, "namespace": annotationHelmNs} {
			if value, ok := annotations[annotation]; ok {
				if n, err = n.With(key, value); err != nil {
					return nil, err
				}
			}
		}
		if names := annotated(annotations, annotationHelmValues); len(names) > 0 {
			if n, err = n.Plus("valuesFrom", secretRefs(names)...); err != nil {
				return nil, err
			}
		}
	}
	return a.valuesFrom(n)
}

func (a *adjusting) yttTemplate(n *Node) (_ *Node, err error) {
	annotations := a.install.Metadata.Annotations
	if names := annotated(annotations, annotationYttPaths); !a.ytt && len(names) > 0 {
		if n, err = inline(n, secretRefs(names)); err != nil {
			return nil, err
		}
	}
	a.ytt = true
	if _, ok := annotations[annotationYttOverlays]; !ok {
		return a.valuesFrom(n)
	}
	if a.values {
		return n, nil
	}
	a.values = true
	return inline(n, secretRefs(a.install.secrets()))
}

// inline adds Secrets to the inline files of a ytt step.
func inline(n *Node, refs []any) (*Node, error) {
	if n.Get("inline") == nil {
		var err error
		if n, err = n.With("inline", map[string]any{}); err != nil {
			return nil, err
		}
	}
	return within(n, "inline", func(i *Node) (*Node, error) { return i.Plus("pathsFrom", refs...) })
}

// valuesFrom adds the PackageInstall's values to the first step that takes them.
func (a *adjusting) valuesFrom(n *Node) (*Node, error) {
	if a.values || len(a.install.Spec.Values) == 0 {
		return n, nil
	}
	a.values = true
	return n.Plus("valuesFrom", secretRefs(a.install.secrets())...)
}

func (i *PackageInstall) secrets() []string {
	var names []string
	for _, v := range i.Spec.Values {
		names = append(names, v.SecretRef.Name)
	}
	return names
}

// annotated returns the values of an annotation and of those that add a dot and something to its
// name, in the order of what they add.
func annotated(annotations map[string]string, name string) []string {
	var values []string
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		if key == name || strings.HasPrefix(key, name+".") {
			values = append(values, annotations[key])
		}
	}
	return values
}

func secretRefs(names []string) []any {
	refs := make([]any, 0, len(names))
	for _, name := range names {
		refs = append(refs, map[string]any{"secretRef": map[string]any{"name": name}})
	}
	return refs
}
