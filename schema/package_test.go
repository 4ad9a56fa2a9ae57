package schema_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/schema"
)

const install = `apiVersion: packaging.carvel.dev/v1alpha1
kind: PackageInstall
metadata:
  name: web
  namespace: apps
  annotations:
    ext.packaging.carvel.dev/fetch-0-secret-name: registry
    ext.packaging.carvel.dev/ytt-paths-from-secret-name.2: second
    ext.packaging.carvel.dev/ytt-paths-from-secret-name.1: first
spec:
  serviceAccountName: web-sa
  paused: true
  packageRef:
    refName: web.example.com
    versionSelection: {constraints: "CONSTRAINTS"}
  values:
  - secretRef: {name: values}
---
`

const packages = `apiVersion: data.packaging.carvel.dev/v1alpha1
kind: PackageMetadata
metadata: {name: web.example.com}
spec: {displayName: Web}
---
apiVersion: data.packaging.carvel.dev/v1alpha1
kind: Package
metadata: {name: web.example.com.1.0.0}
spec:
  refName: web.example.com
  version: 1.0.0
  template: {spec: {fetch: [{git: {url: https://example.com/old.git}}]}}
---
apiVersion: data.packaging.carvel.dev/v1alpha1
kind: Package
metadata: {name: web.example.com.1.2.0}
spec:
  refName: web.example.com
  version: 1.2.0
  valuesSchema: {openAPIv3: {}}
  template:
    spec:
      serviceAccountName: not-this-one
      fetch:
      - imgpkgBundle: {image: registry.example.com/web}
      template:
      - ytt: {paths: [config]}
      - ytt:
      - kbld: {}
      deploy:
      - kapp: {}
---
apiVersion: data.packaging.carvel.dev/v1alpha1
kind: Package
metadata: {name: web.example.com.2.0.0-rc.1}
spec: {refName: web.example.com, version: 2.0.0-rc.1, template: {spec: {fetch: []}}}
`

func TestPackageInstallStandsForAnApp(t *testing.T) {
	f, err := schema.Load("pkg.yaml", []byte(strings.Replace(install, "CONSTRAINTS", ">=1.0.0", 1)+packages))
	if err != nil {
		t.Fatal(err)
	}
	app := f.App
	got := map[string]any{
		"name": app.Metadata.Namespace + "/" + app.Metadata.Name, "account": app.Spec.ServiceAccountName, "paused": app.Spec.Paused,
		"version": app.Metadata.Annotations["packaging.carvel.dev/package-version"],
	}
	for i, e := range append(app.Spec.Fetch, app.Spec.Template...) {
		v, err := e.Node.Value()
		if err != nil {
			t.Fatal(err)
		}
		got["entry "+string(rune('0'+i))] = v
	}
	ref := func(name string) any { return map[string]any{"secretRef": map[string]any{"name": name}} }
	want := map[string]any{
		"name": "apps/web", "account": "web-sa", "paused": true, "version": "1.2.0",
		"entry 0": map[string]any{"imgpkgBundle": map[string]any{"image": "registry.example.com/web", "secretRef": map[string]any{"name": "registry"}}},
		"entry 1": map[string]any{"ytt": map[string]any{
			"paths": []any{"config"}, "inline": map[string]any{"pathsFrom": []any{ref("first"), ref("second")}}, "valuesFrom": []any{ref("values")},
		}},
		"entry 2": map[string]any{"ytt": nil},
		"entry 3": map[string]any{"kbld": map[string]any{}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPackageInstallOverlaysAndHelm(t *testing.T) {
	text := strings.Replace(install, "CONSTRAINTS", "3.0.0", 1)
	text = strings.Replace(text, "fetch-0-secret-name: registry", `ytt-data-values-overlays: ""
    ext.packaging.carvel.dev/helm-template-name: other
    ext.packaging.carvel.dev/helm-template-values-from-secret-name: more`, 1)
	f, err := schema.Load("pkg.yaml", []byte(text+`apiVersion: data.packaging.carvel.dev/v1alpha1
kind: Package
metadata: {name: x}
spec:
  refName: web.example.com
  version: 3.0.0
  template: {spec: {template: [{ytt: {}}, {helmTemplate: {path: chart}}]}}
`))
	if err != nil {
		t.Fatal(err)
	}
	ref := func(name string) any { return map[string]any{"secretRef": map[string]any{"name": name}} }
	want := []any{
		map[string]any{"ytt": map[string]any{"inline": map[string]any{"pathsFrom": []any{ref("first"), ref("second"), ref("values")}}}},
		map[string]any{"helmTemplate": map[string]any{"path": "chart", "name": "other", "valuesFrom": []any{ref("more")}}},
	}
	var got []any
	for _, e := range f.App.Spec.Template {
		v, err := e.Node.Value()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, v)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPackageVersions(t *testing.T) {
	for selection, want := range map[string]string{
		`constraints: ">=1.0.0"`:                  "1.2.0",
		`constraints: 1.0.0`:                      "1.0.0",
		`constraints: 2.0.0-rc.1`:                 "2.0.0-rc.1",
		`constraints: ">=1.0.0", prereleases: {}`: "2.0.0-rc.1",
		`constraints: ">=3.0.0"`: "pkg.yaml:15:23: spec.packageRef.versionSelection: no version of Package \"web.example.com\" is selected: " +
			"Expected to find at least one version, but did not (details: all=3 -> after-prereleases-filter=2 -> after-constraints-filter=0) (the file has 1.0.0, 1.2.0, 2.0.0-rc.1)",
	} {
		text := strings.Replace(install, `constraints: "CONSTRAINTS"`, selection, 1)
		f, err := schema.Load("pkg.yaml", []byte(text+packages))
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = f.App.Metadata.Annotations["packaging.carvel.dev/package-version"]
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", selection, got, want)
		}
	}
}

func TestBadPackages(t *testing.T) {
	good := strings.Replace(install, "CONSTRAINTS", "1.2.0", 1)
	for name, tt := range map[string]struct{ text, want string }{
		"no package":    {good, `pkg.yaml:14:14: spec.packageRef.refName: no Package "web.example.com" in the file (the Package stands in the same file as the PackageInstall)`},
		"misspelt":      {strings.Replace(good, "refName: web.", "refName: wep.", 1) + packages, `pkg.yaml:14:14: spec.packageRef.refName: no Package "wep.example.com" in the file (did you mean web.example.com?)`},
		"unknown field": {good + strings.Replace(packages, "kapp: {}", "kapp: {}\n      deplyo: []", 1), `pkg.yaml:50:7: spec.template.spec.deplyo: unknown field (did you mean deploy?)`},
		"no version":    {good + strings.Replace(packages, "  version: 1.2.0\n", "", 1), `pkg.yaml:36:3: spec.version: missing, but required`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := schema.Load("pkg.yaml", []byte(tt.text))
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestFetchLocally(t *testing.T) {
	load := func(annotation string) *schema.File {
		f, err := schema.Load("app.yaml", []byte(`apiVersion: kappctrl.k14s.io/v1alpha1
kind: App
metadata:
  name: web
  annotations: {`+annotation+`}
spec:
  fetch: [{git: {url: https://example.com/a.git}}, {path: conf, git: {url: https://example.com/b.git}}]
`))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := load("kctrl.carvel.dev/local-fetch-1: src, kctrl.carvel.dev/local-fetch-7: x")
	if err := f.FetchLocally("/work"); err != nil {
		t.Fatal(err)
	}
	first, _ := f.App.Spec.Fetch[0].Node.Value()
	second, _ := f.App.Spec.Fetch[1].Node.Value()
	want := []any{
		map[string]any{"git": map[string]any{"url": "https://example.com/a.git"}},
		map[string]any{"path": "conf", "directory": map[string]any{"path": "/work/src"}},
	}
	if diff := cmp.Diff(want, []any{first, second}); diff != "" {
		t.Error(diff)
	}
	err := load("kctrl.carvel.dev/local-fetch-one: src").FetchLocally("/work")
	if want := `app.yaml:5:51: metadata.annotations.kctrl.carvel.dev/local-fetch-one: "one" is not the position of a source (expected a number, such as kctrl.carvel.dev/local-fetch-0)`; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
