package schema_test

import (
	"strings"
	"testing"

	vendir "carvel.dev/vendir/pkg/vendir/config"
	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/schema"
)

const appHead = "apiVersion: strake.dev/v1alpha1\nkind: App\nmetadata: {name: web}\n"

func TestLoadReadsAppAndWhatItRefersTo(t *testing.T) {
	f, err := schema.Load("app.yaml", []byte(appHead+`
spec:
  serviceAccountName: web
  fetch: [{git: {url: https://example.com/x.git, ref: origin/main}}]
  template: [{ytt: {}}, {kbld: {}}]
  deploy: [{kapp: {}}]
status: {anything: true}
---
apiVersion: v1
kind: Secret
metadata: {name: git, namespace: default}
data: {password: aHVudGVyMg==}
stringData: {username: me}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: values}
data: {values.yml: "a: 1"}
`))
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Metadata(); got.Name != "web" || got.Namespace != "default" {
		t.Errorf("metadata is %+v", got)
	}
	if f.Identity().ServiceAccountName != "web" {
		t.Errorf("identity is %+v", f.Identity())
	}
	if got := string(f.Secrets[0].Values()["password"]); got != "hunter2" {
		t.Errorf("password is %q", got)
	}
	if got := string(f.ConfigMaps[0].Values()["values.yml"]); got != "a: 1" {
		t.Errorf("values.yml is %q", got)
	}
	if got := len(f.App.Spec.Template); got != 2 {
		t.Errorf("%d template entries", got)
	}
}

func TestLoadAcceptsAnAppAsTheClusterPrintsIt(t *testing.T) {
	_, err := schema.Load("app.yaml", []byte(`
apiVersion: kappctrl.k14s.io/v1alpha1
kind: App
metadata:
  name: web
  namespace: default
  uid: 1234
  resourceVersion: "42"
  generation: 3
  creationTimestamp: "2021-11-11T00:00:00Z"
  finalizers: [finalizers.kapp-ctrl.k14s.io/delete]
  managedFields: [{manager: kubectl}]
  annotations: {kubectl.kubernetes.io/last-applied-configuration: "{}"}
spec:
  syncPeriod: 30s
  cluster: {namespace: x, kubeconfigSecretRef: {name: k}}
  fetch: [{http: {url: https://example.com}}]
  template: [{ytt: {}}]
  deploy: [{kapp: {rawOptions: ["--wait-timeout=5m"]}}]
status: {conditions: []}
`[1:]))
	// An API server prints the uid in quotes; without them 1234 is a number.
	want := `app.yaml:6:8: metadata.uid: expected a string, found the number 1234 (put it in quotes: "1234")`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestLoadReportsProblems(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"empty":           {"", "app.yaml: holds no App and no Pipeline (expected a document with apiVersion: strake.dev/v1alpha1 and kind: App or Pipeline)"},
		"two apps":        {appHead + "spec: {}\n---\n" + appHead + "spec: {}\n", "app.yaml:6:1: a second App, PackageInstall or Pipeline: the first one is at app.yaml:1:1, and a file holds one"},
		"other kind":      {"apiVersion: v1\nkind: Pod\n", `app.yaml:2:7: unknown kind of document: apiVersion "v1", kind "Pod" (known: strake.dev/v1alpha1 App, strake.dev/v1alpha1 Pipeline, kappctrl.k14s.io/v1alpha1 App, packaging.carvel.dev/v1alpha1 PackageInstall, data.packaging.carvel.dev/v1alpha1 Package, v1 Secret, v1 ConfigMap)`},
		"bad name":        {"apiVersion: strake.dev/v1alpha1\nkind: App\nmetadata: {name: My_App}\nspec: {}\n", `app.yaml:3:18: metadata.name: "My_App" is not a valid name (lower-case letters, digits, “-” and “.”, beginning and ending with a letter or digit, at most 253)`},
		"no name":         {"apiVersion: strake.dev/v1alpha1\nkind: App\nmetadata: {}\nspec: {}\n", "app.yaml:3:11: metadata.name: missing, but required"},
		"two identities":  {appHead + "spec:\n  serviceAccountName: a\n  cluster: {kubeconfigSecretRef: {name: k}}\n", "app.yaml:6:12: spec.cluster: cannot be combined with serviceAccountName: expected one of them"},
		"entry not a map": {appHead + "spec:\n  fetch: [git]\n", `app.yaml:5:11: spec.fetch[0]: expected a mapping that names a plugin, found the string "git" (for example “- ytt: {}”)`},
		"unknown stage":   {appHead + "spec:\n  deploi: []\n", "app.yaml:5:3: spec.deploi: unknown field (did you mean deploy?)"},
		"kapp-controller": {strings.Replace(appHead, "strake.dev", "kappctrl.k14s.io", 1) + "spec:\n  build: [{kbld: {}}]\n", "app.yaml:5:10: spec.build: kapp-controller's App has no build stage (use “template: [{kbld: {}}]”, or apiVersion: strake.dev/v1alpha1)"},
		"bad base64":      {appHead + "spec: {}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: '%'}\n", "app.yaml:9:11: data.a: value is not base64 (put plain text under stringData)"},
		"pipeline stage":  {"apiVersion: strake.dev/v1alpha1\nkind: Pipeline\nmetadata: {name: p}\nspec:\n  stages:\n  - {name: a, stage: templat, uses: ytt}\n", `app.yaml:6:22: spec.stages[0].stage: expected one of fetch, verify, template, build, publish, deploy, found "templat" (did you mean template?)`},
		"same step name":  {"apiVersion: strake.dev/v1alpha1\nkind: Pipeline\nmetadata: {name: p}\nspec:\n  stages:\n  - {name: a, stage: template, uses: ytt}\n  - {name: a, stage: template, uses: ytt}\n", `app.yaml:7:12: spec.stages[1].name: "a" names an earlier step already`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := schema.Load("app.yaml", []byte(tt.in))
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLockIsWrittenInCarvelsKindsAndReadAgain(t *testing.T) {
	const text = `---
apiVersion: vendir.k14s.io/v1alpha1
directories:
- contents:
  - git:
      commitTitle: first
      sha: a123456789012345678901234567890123456789
    path: .
  path: config
- contents:
  - directory: {}
    path: .
  path: src
kind: LockConfig
---
apiVersion: imgpkg.carvel.dev/v1alpha1
images:
- annotations:
    kbld.carvel.dev/id: web
    strake.dev/build-input: sha256:11
  image: example.com/web@sha256:0000000000000000000000000000000000000000000000000000000000000000
kind: ImagesLock
`
	lock, err := schema.ReadLock("app.lock.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	out, err := lock.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(text, string(out)); diff != "" {
		t.Error(diff)
	}
	if s, ok := lock.Source("config"); !ok || s.Git.CommitTitle != "first" {
		t.Errorf("source config is %+v", s)
	}
}

func TestLockDifferences(t *testing.T) {
	image := func(id, digest, input string) schema.LockedImage {
		return schema.LockedImage{Image: "example.com/" + id + "@sha256:" + digest, Annotations: map[string]string{
			schema.AnnotationImageID: id, schema.AnnotationBuildInput: input,
		}}
	}
	old := schema.Lock{
		Sources: []schema.LockedSource{{LockDirectoryContents: vendir.LockDirectoryContents{Path: "gone"}}},
		Images:  []schema.LockedImage{image("same", "1", ""), image("moved", "1", ""), image("rebuilt", "1", "a"), image("unused", "1", "")},
	}
	now := schema.Lock{
		Sources: []schema.LockedSource{{LockDirectoryContents: vendir.LockDirectoryContents{Path: "new"}}},
		Images:  []schema.LockedImage{image("same", "1", ""), image("moved", "2", ""), image("rebuilt", "1", "b"), image("added", "1", "")},
	}
	want := []schema.Difference{
		{Entry: "source new", Reason: "is not in the lock file"},
		{Entry: "source gone", Reason: "is in the lock file, but not in the App"},
		{Entry: "image moved", Reason: "is example.com/moved@sha256:2, but the lock file has example.com/moved@sha256:1"},
		{Entry: "image rebuilt", Reason: "was built from other input than the lock file has"},
		{Entry: "image added", Reason: "is not in the lock file"},
		{Entry: "image unused", Reason: "is in the lock file, but not in the manifests"},
	}
	if diff := cmp.Diff(want, old.Differences(now)); diff != "" {
		t.Error(diff)
	}
	if d := old.Differences(old); len(d) > 0 {
		t.Errorf("a lock differs from itself: %v", d)
	}
}
