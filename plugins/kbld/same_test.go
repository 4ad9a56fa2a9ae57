package kbld_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"carvel.dev/imgpkg/pkg/imgpkg/lockconfig"
	kbldcmd "carvel.dev/kbld/pkg/kbld/cmd"
	kbldlog "carvel.dev/kbld/pkg/kbld/logger"
	"github.com/cppforlife/go-cli-ui/ui"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"sigs.k8s.io/yaml"

	"strake.dev/strake/stages/stagetest"
)

const config = "apiVersion: kbld.k14s.io/v1alpha1\nkind: Config\n"

// sameInputs are documents on which kbld itself and the plugin have to agree, also in that they fail.
// HOST is a registry, DIGEST that of its app:1.0.0.
var sameInputs = map[string]string{
	"a tag":                  deployment("HOST/app:1.0.0"),
	"several tags":           deployment("HOST/app:1.0.0", "HOST/app:1.2.0", "HOST/other:x"),
	"no tag":                 deployment("HOST/other"),
	"the same twice":         deployment("HOST/app:1.0.0", "HOST/app:1.0.0"),
	"two tags of one digest": deployment("HOST/app:1.0.0", "HOST/app:same"),
	"a digest":               deployment("HOST/app@DIGEST"),
	"tag and digest":         deployment("HOST/app:1.0.0@DIGEST"),
	"bad digest":             deployment("HOST/app@sha256:12"),
	"not a reference":        deployment("HOST/App:1"),
	"unknown tag":            deployment("HOST/app:nope"),
	"unknown repository":     deployment("HOST/nope:1"),
	"index":                  deployment("HOST/multi:1"),
	"no images":              "kind: ConfigMap\napiVersion: v1\nmetadata: {name: c}\ndata: {a: b}\n",
	"nothing":                "",
	"comments only":          "# nothing\n---\n---\nnull\n",
	"several documents": deployment("HOST/app:1.0.0") + "---\n" + deployment("HOST/app:1.2.0") + "---\n" +
		"apiVersion: v1\nkind: Service\nmetadata: {name: s, annotations: {a: b}}\n",
	"a list":              "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {image: 'HOST/app:1.0.0'}}\n",
	"not a mapping":       "- a\n- b\n",
	"no metadata":         "apiVersion: v1\nkind: X\nimage: HOST/app:1.0.0\n",
	"existing annotation": "kind: X\napiVersion: v1\nmetadata: {name: x, annotations: {kbld.k14s.io/images: old}}\nimage: HOST/app:1.0.0\n",
	"annotation is kept":  "kind: X\napiVersion: v1\nmetadata: {name: x, annotations: {kbld.k14s.io/images: old}}\n",
	"image is no string":  "kind: X\napiVersion: v1\nimage: {image: 'HOST/app:1.0.0', name: 5}\n",
	"yaml 1.1 values":     "kind: X\napiVersion: v1\nimage: HOST/app:1.0.0\na: yes\nb: 1e3\nc: 0o7\nd: 12345678901\ne: !!binary aGk=\n",

	"override":                      config + "overrides: [{image: app, newImage: 'HOST/app:1.0.0'}]\n---\n" + deployment("app"),
	"override by repository":        config + "overrides: [{imageRepo: app, newImage: 'HOST/app:1.0.0'}]\n---\n" + deployment("app:v9"),
	"first override counts":         config + "overrides: [{image: app, newImage: 'HOST/app:1.0.0'}, {image: app, newImage: 'HOST/app:1.2.0'}]\n---\n" + deployment("app"),
	"override isn't applied twice":  config + "overrides: [{image: app, newImage: b}, {image: b, newImage: 'HOST/app:1.0.0'}]\n---\n" + deployment("app", "HOST/app:1.0.0"),
	"override to a digest":          config + "overrides: [{image: app, newImage: 'HOST/app@DIGEST'}]\n---\n" + deployment("app"),
	"preresolved":                   config + "overrides: [{image: app, newImage: 'HOST/app@DIGEST', preresolved: true}]\n---\n" + deployment("app"),
	"preresolved without digest":    config + "overrides: [{image: app, newImage: anything, preresolved: true}]\n---\n" + deployment("app"),
	"preresolved with origins":      config + "overrides: [{image: app, newImage: 'HOST/app@DIGEST', preresolved: true, origins: [{git: {remoteURL: u, sha: s, dirty: true}}]}]\n---\n" + deployment("app"),
	"preresolved and platform":      config + "overrides: [{image: app, newImage: 'HOST/app@DIGEST', preresolved: true, platformSelection: {os: linux, architecture: amd64}}]\n---\n" + deployment("app"),
	"override without newImage":     config + "overrides: [{image: app}]\n---\n" + deployment("app"),
	"tag selection":                 config + "overrides: [{image: app, newImage: HOST/app, tagSelection: {semver: {constraints: '>=1.0.0'}}}]\n---\n" + deployment("app"),
	"tag selection, any":            config + "overrides: [{image: app, newImage: HOST/app, tagSelection: {semver: {}}}]\n---\n" + deployment("app"),
	"tag selection, prereleases":    config + "overrides: [{image: app, newImage: HOST/app, tagSelection: {semver: {prereleases: {}}}}]\n---\n" + deployment("app"),
	"tag selection, none fits":      config + "overrides: [{image: app, newImage: HOST/app, tagSelection: {semver: {constraints: '>9.0.0'}}}]\n---\n" + deployment("app"),
	"tag selection, bad constraint": config + "overrides: [{image: app, newImage: HOST/app, tagSelection: {semver: {constraints: '~1.0.0'}}}]\n---\n" + deployment("app"),
	"tag selection, no strategy":    config + "overrides: [{image: app, newImage: HOST/app, tagSelection: {}}]\n---\n" + deployment("app"),
	"platform":                      config + "overrides: [{image: app, newImage: 'HOST/multi:1', platformSelection: {os: linux, architecture: arm64}}]\n---\n" + deployment("app"),
	"platform with variant":         config + "overrides: [{image: app, newImage: 'HOST/multi:1', platformSelection: {os: linux, architecture: arm, variant: v7}}]\n---\n" + deployment("app"),
	"platform of no index":          config + "overrides: [{image: app, newImage: 'HOST/app:1.0.0', platformSelection: {os: linux, architecture: arm64}}]\n---\n" + deployment("app"),
	"platform, none":                config + "overrides: [{image: app, newImage: 'HOST/multi:1', platformSelection: {os: plan9, architecture: arm64}}]\n---\n" + deployment("app"),
	"platform, several":             config + "overrides: [{image: app, newImage: 'HOST/multi:1', platformSelection: {os: linux, architecture: arm}}]\n---\n" + deployment("app"),

	"key":               config + "keys: [sidecar]\n---\nkind: X\napiVersion: v1\nsidecar: HOST/app:1.0.0\nimage: HOST/app:1.2.0\n",
	"rule none":         config + "searchRules: [{keyMatcher: {name: image}, updateStrategy: {none: {}}}]\n---\n" + deployment("anything"),
	"rule by path":      config + "searchRules: [{keyMatcher: {path: [spec, list, {index: 1}, ref]}}]\n---\nkind: X\napiVersion: v1\nspec: {list: [{ref: no}, {ref: 'HOST/app:1.0.0'}]}\n",
	"rule by all":       config + "searchRules: [{keyMatcher: {path: [list, {allIndexes: true}]}}]\n---\nkind: X\napiVersion: v1\nlist: ['HOST/app:1.0.0', 'HOST/app:1.2.0']\n",
	"rule by value":     config + "searchRules: [{valueMatcher: {imageRepo: HOST/app}}]\n---\nkind: X\napiVersion: v1\na: HOST/app:1.0.0\nb: HOST/other:x\n",
	"rule json":         config + "searchRules: [{keyMatcher: {name: c.json}, updateStrategy: {json: {searchRules: [{keyMatcher: {name: img}}]}}}]\n---\nkind: ConfigMap\napiVersion: v1\ndata: {c.json: '{\"img\": \"HOST/app:1.0.0\", \"n\": 1}'}\n",
	"rule yaml":         config + "searchRules: [{keyMatcher: {name: c.yml}, updateStrategy: {yaml: {searchRules: [{keyMatcher: {name: img}}]}}}]\n---\nkind: ConfigMap\napiVersion: v1\ndata: {c.yml: \"a: 1\\nimg: HOST/app:1.0.0\\n---\\nimg: HOST/app:1.2.0\\n\"}\n",
	"rule yaml, broken": config + "searchRules: [{keyMatcher: {name: c.yml}, updateStrategy: {yaml: {searchRules: [{keyMatcher: {name: img}}]}}}]\n---\nkind: ConfigMap\napiVersion: v1\ndata: {c.yml: '{{'}\n",
	"image in a string": "kind: X\napiVersion: v1\nimage: 'HOST/app:1.0.0'\ntext: 'image: HOST/app:1.0.0'\n",
	"other kind":        "apiVersion: kbld.k14s.io/v1alpha1\nkind: Other\nimage: HOST/app:1.0.0\n",
	"old kinds": "apiVersion: kbld.k14s.io/v1alpha1\nkind: ImageOverrides\noverrides: [{image: app, newImage: 'HOST/app:1.0.0'}]\n---\n" +
		"apiVersion: kbld.k14s.io/v1alpha1\nkind: ImageKeys\nkeys: [img]\n---\nkind: X\napiVersion: v1\nimg: app\n",
	"images lock": "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\nimages:\n- image: HOST/app@DIGEST\n  annotations:\n    kbld.carvel.dev/id: app\n" +
		"    kbld.carvel.dev/origins: |\n      - resolved: {tag: x, url: app}\n---\n" + deployment("app"),
	"images lock without id":   "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\nimages:\n- image: HOST/app@DIGEST\n---\n" + deployment("app"),
	"unused destination":       config + "destinations: [{image: app, newImage: HOST/x, tags: [a]}]\n---\n" + deployment("HOST/app:1.0.0"),
	"unused source":            config + "sources: [{image: app, path: nowhere, pack: {}}]\n---\n" + deployment("HOST/app:1.0.0"),
	"destination without name": config + "destinations: [{newImage: x}]\n---\n" + deployment("HOST/app:1.0.0"),
	"source without path":      config + "sources: [{image: app}]\n---\n" + deployment("HOST/app:1.0.0"),
	"rule without matcher":     config + "searchRules: [{}]\n---\n" + deployment("HOST/app:1.0.0"),
	"unknown field":            config + "whatever: 1\n---\n" + deployment("HOST/app:1.0.0"),
}

func TestSameAsKbld(t *testing.T) {
	w := newWorld(t)
	digest := w.push("app:1.0.0", "1.0.0")
	w.push("app:same", "1.0.0")
	w.push("app:1.2.0", "1.2.0")
	w.push("app:2.0.0-rc.1", "2.0.0-rc.1")
	w.push("app:latest", "latest")
	w.push("other:x", "x")
	w.push("other:latest", "latest")
	pushIndex(t, w.host+"/multi:1")
	for name, text := range sameInputs {
		t.Run(name, func(t *testing.T) {
			text := strings.NewReplacer("HOST", w.host, "DIGEST", digest).Replace(text)
			want, wantLock, wantErr := real(t, text)
			_, result, err := w.run(stagetest.Case{Config: "paths: [all.yaml]", Files: map[string]string{"all.yaml": text}})
			if (err == nil) != (wantErr == nil) {
				t.Fatalf("error: %v\nkbld's error: %v", err, wantErr)
			}
			if err != nil {
				return
			}
			if diff := cmp.Diff(want, string(result.Manifests)); diff != "" {
				t.Errorf("manifests differ (-kbld +ours):\n%s", diff)
			}
			if diff := cmp.Diff(wantLock, result.Images, sameImages); diff != "" {
				t.Errorf("lock differs (-kbld +ours):\n%s", diff)
			}
		})
	}
}

// real runs kbld itself.
func real(t testing.TB, text string, set ...func(*kbldcmd.ResolveOptions)) (string, []lockconfig.ImageRef, error) {
	t.Helper()
	dir := t.TempDir()
	file, lock := filepath.Join(dir, "all.yaml"), filepath.Join(dir, "lock.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	o := kbldcmd.NewResolveOptions(ui.NewNoopUI())
	o.FileFlags.Files = []string{file}
	o.RegistryFlags.VerifyCerts = true
	o.BuildConcurrency, o.ImagesAnnotation, o.OriginsAnnotation, o.AllowedToBuild = 4, true, true, true
	o.ImgpkgLockOutput = lock
	for _, set := range set {
		set(o)
	}
	logger := kbldlog.NewLogger(io.Discard)
	docs, err := o.ResolveResources(&logger, logger.NewPrefixedWriter(""))
	if err != nil && strings.Contains(err.Error(), "Expected ref to be in digest form") {
		// kbld doesn't lock such an image; without a lock it works.
		o.ImgpkgLockOutput = ""
		docs, err = o.ResolveResources(&logger, logger.NewPrefixedWriter(""))
	}
	if err != nil {
		return "", nil, err
	}
	var b strings.Builder
	for _, doc := range docs {
		b.WriteString("---\n" + string(doc))
	}
	if o.ImgpkgLockOutput == "" {
		return b.String(), nil, nil
	}
	data, err := os.ReadFile(lock)
	if err != nil {
		t.Fatal(err)
	}
	var images lockconfig.ImagesLock
	if err := yaml.Unmarshal(data, &images); err != nil {
		t.Fatal(err)
	}
	return b.String(), images.Images, nil
}

func pushIndex(t *testing.T, ref string) {
	t.Helper()
	index := v1.ImageIndex(empty.Index)
	for _, p := range []v1.Platform{
		{OS: "linux", Architecture: "amd64"},
		{OS: "linux", Architecture: "arm64"},
		{OS: "linux", Architecture: "arm", Variant: "v6"},
		{OS: "linux", Architecture: "arm", Variant: "v7"},
	} {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: imageOf(t, p.String()), Descriptor: v1.Descriptor{Platform: &p}})
	}
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(tag, index); err != nil {
		t.Fatal(err)
	}
}
