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
	kbldversion "carvel.dev/kbld/pkg/kbld/version"
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

	"override by repository, digest":          config + "overrides: [{imageRepo: app, newImage: 'HOST/app:1.0.0'}]\n---\n" + deployment("app@DIGEST", "app:1@DIGEST", "app", "app/x@DIGEST"),
	"override by repository with a port":      config + "overrides: [{imageRepo: 'reg.example.com:5000/app', newImage: 'HOST/app:1.0.0'}]\n---\n" + deployment("reg.example.com:5000/app:v1", "reg.example.com:5000/app", "reg.example.com:5000/app@DIGEST"),
	"override by repository, only a port":     config + "overrides: [{imageRepo: reg.example.com, newImage: 'HOST/app:1.0.0'}]\n---\n" + deployment("reg.example.com:5000"),
	"override by repository isn't normalised": config + "overrides: [{imageRepo: docker.io/library/app, newImage: 'HOST/app:1.0.0'}, {imageRepo: app, newImage: 'HOST/app:1.2.0'}]\n---\n" + deployment("app:1"),
	"override by image and repository":        config + "overrides: [{image: a, imageRepo: app, newImage: 'HOST/app:1.0.0'}, {imageRepo: app, newImage: 'HOST/app:1.2.0'}]\n---\n" + deployment("app:1", "a"),
	"override to tag and digest":              config + "overrides: [{image: app, newImage: 'HOST/app:1.0.0@DIGEST'}]\n---\n" + deployment("app"),
	"override to itself":                      config + "overrides: [{image: 'HOST/app:1.0.0', newImage: 'HOST/app:1.0.0'}]\n---\n" + deployment("HOST/app:1.0.0"),
	"override to an unknown tag":              config + "overrides: [{image: app, newImage: 'HOST/app:nope'}]\n---\n" + deployment("app"),
	"preresolved by repository":               config + "overrides: [{imageRepo: app, newImage: 'HOST/app@DIGEST', preresolved: true}]\n---\n" + deployment("app:1", "app:2"),
	"preresolved to a tag":                    config + "overrides: [{image: app, newImage: 'HOST/app:1.0.0', preresolved: true}]\n---\n" + deployment("app"),

	"tag selection, identifiers":         config + "overrides: [{image: app, newImage: HOST/app, tagSelection: {semver: {prereleases: {identifiers: [rc]}}}}]\n---\n" + deployment("app"),
	"tag selection, other identifiers":   config + "overrides: [{image: app, newImage: HOST/app, tagSelection: {semver: {prereleases: {identifiers: [beta]}}}}]\n---\n" + deployment("app"),
	"tag selection, or":                  config + "overrides: [{image: app, newImage: HOST/app, tagSelection: {semver: {constraints: '<1.0.0 || >=1.1.0 <2.0.0'}}}]\n---\n" + deployment("app"),
	"tag selection, not":                 config + "overrides: [{image: app, newImage: HOST/app, tagSelection: {semver: {constraints: '!1.2.0'}}}]\n---\n" + deployment("app"),
	"tag selection, x":                   config + "overrides: [{image: app, newImage: HOST/app, tagSelection: {semver: {constraints: '1.x'}}}]\n---\n" + deployment("app"),
	"tag selection, leading v":           config + "overrides: [{image: app, newImage: HOST/vapp, tagSelection: {semver: {constraints: '>=1.0.0'}}}]\n---\n" + deployment("app"),
	"tag selection, v in constraint":     config + "overrides: [{image: app, newImage: HOST/vapp, tagSelection: {semver: {constraints: '>=v1.0.0'}}}]\n---\n" + deployment("app"),
	"tag selection, two references":      config + "overrides: [{imageRepo: app, newImage: HOST/app, tagSelection: {semver: {}}}]\n---\n" + deployment("app:1", "app:2"),
	"tag selection of a tag":             config + "overrides: [{image: app, newImage: 'HOST/app:1.0.0', tagSelection: {semver: {}}}]\n---\n" + deployment("app"),
	"tag selection, no versions":         config + "overrides: [{image: app, newImage: HOST/words, tagSelection: {semver: {}}}]\n---\n" + deployment("app"),
	"tag selection, unknown repository":  config + "overrides: [{image: app, newImage: HOST/nope, tagSelection: {semver: {}}}]\n---\n" + deployment("app"),
	"tag selection and platform":         config + "overrides: [{image: app, newImage: HOST/multi, tagSelection: {semver: {}}, platformSelection: {os: linux, architecture: arm64}}]\n---\n" + deployment("app"),
	"tag selection goes before a source": config + "sources: [{image: HOST/app, path: nowhere}]\noverrides: [{image: app, newImage: HOST/app, tagSelection: {semver: {}}}]\n---\n" + deployment("app"),
	"preresolved goes before a source":   config + "sources: [{image: 'HOST/app@DIGEST', path: nowhere}]\noverrides: [{image: app, newImage: 'HOST/app@DIGEST', preresolved: true}]\n---\n" + deployment("app"),
	"a platform for a digest":            config + "overrides: [{image: app, newImage: 'HOST/app@DIGEST', platformSelection: {os: linux, architecture: arm64}}]\n---\n" + deployment("app"),
	"platform by OS version":             config + "overrides: [{image: app, newImage: 'HOST/multi:1', platformSelection: {os: windows, architecture: amd64, os.version: 10.0.20348.2}}]\n---\n" + deployment("app"),
	"platform by OS version, none":       config + "overrides: [{image: app, newImage: 'HOST/multi:1', platformSelection: {os: windows, architecture: amd64, os.version: '10.0'}}]\n---\n" + deployment("app"),
	"platform by OS version, several":    config + "overrides: [{image: app, newImage: 'HOST/multi:1', platformSelection: {os: windows, architecture: amd64}}]\n---\n" + deployment("app"),
	"platform by OS features":            config + "overrides: [{image: app, newImage: 'HOST/multi:1', platformSelection: {os: windows, architecture: amd64, os.features: [win32k]}}]\n---\n" + deployment("app"),
	"platform by OS features, none":      config + "overrides: [{image: app, newImage: 'HOST/multi:1', platformSelection: {os: windows, architecture: amd64, os.features: [win32k, y]}}]\n---\n" + deployment("app"),
	"platform by features":               config + "overrides: [{image: app, newImage: 'HOST/multi:1', platformSelection: {os: linux, architecture: s390x, features: [b]}}]\n---\n" + deployment("app"),
	"platform by features, none":         config + "overrides: [{image: app, newImage: 'HOST/multi:1', platformSelection: {os: linux, architecture: s390x, features: [c]}}]\n---\n" + deployment("app"),
	"platform without OS":                config + "overrides: [{image: app, newImage: 'HOST/multi:1', platformSelection: {architecture: arm64}}]\n---\n" + deployment("app"),
	"platform of nothing":                config + "overrides: [{image: app, newImage: 'HOST/multi:1', platformSelection: {}}]\n---\n" + deployment("app"),
	"several platforms of one index":     config + "overrides: [{image: a, newImage: 'HOST/multi:1', platformSelection: {os: linux, architecture: arm64}}, {image: b, newImage: 'HOST/multi:1', platformSelection: {os: linux, architecture: amd64}}, {image: c, newImage: 'HOST/multi:1'}]\n---\n" + deployment("a", "b", "c"),

	"key":                           config + "keys: [sidecar]\n---\nkind: X\napiVersion: v1\nsidecar: HOST/app:1.0.0\nimage: HOST/app:1.2.0\n",
	"rule none":                     config + "searchRules: [{keyMatcher: {name: image}, updateStrategy: {none: {}}}]\n---\n" + deployment("anything"),
	"rule by path":                  config + "searchRules: [{keyMatcher: {path: [spec, list, {index: 1}, ref]}}]\n---\nkind: X\napiVersion: v1\nspec: {list: [{ref: no}, {ref: 'HOST/app:1.0.0'}]}\n",
	"rule by all":                   config + "searchRules: [{keyMatcher: {path: [list, {allIndexes: true}]}}]\n---\nkind: X\napiVersion: v1\nlist: ['HOST/app:1.0.0', 'HOST/app:1.2.0']\n",
	"rule by value":                 config + "searchRules: [{valueMatcher: {imageRepo: HOST/app}}]\n---\nkind: X\napiVersion: v1\na: HOST/app:1.0.0\nb: HOST/other:x\n",
	"rule json":                     config + "searchRules: [{keyMatcher: {name: c.json}, updateStrategy: {json: {searchRules: [{keyMatcher: {name: img}}]}}}]\n---\nkind: ConfigMap\napiVersion: v1\ndata: {c.json: '{\"img\": \"HOST/app:1.0.0\", \"n\": 1}'}\n",
	"rule yaml":                     config + "searchRules: [{keyMatcher: {name: c.yml}, updateStrategy: {yaml: {searchRules: [{keyMatcher: {name: img}}]}}}]\n---\nkind: ConfigMap\napiVersion: v1\ndata: {c.yml: \"a: 1\\nimg: HOST/app:1.0.0\\n---\\nimg: HOST/app:1.2.0\\n\"}\n",
	"rule yaml, broken":             config + "searchRules: [{keyMatcher: {name: c.yml}, updateStrategy: {yaml: {searchRules: [{keyMatcher: {name: img}}]}}}]\n---\nkind: ConfigMap\napiVersion: v1\ndata: {c.yml: '{{'}\n",
	"rule by value, image":          config + "searchRules: [{valueMatcher: {image: 'HOST/app:1.0.0'}}]\n---\nkind: X\napiVersion: v1\na: HOST/app:1.0.0\nb: HOST/app:1.2.0\n",
	"rule by value, digest":         config + "searchRules: [{valueMatcher: {imageRepo: HOST/app}}]\n---\nkind: X\napiVersion: v1\na: HOST/app@DIGEST\nb: HOST/app:1.0.0@DIGEST\n",
	"rule by key and value":         config + "searchRules: [{keyMatcher: {name: a}, valueMatcher: {imageRepo: HOST/app}}]\n---\nkind: X\napiVersion: v1\na: HOST/app:1.0.0\nb: {a: HOST/other:x}\nc: HOST/app:1.2.0\n",
	"rule by name and path":         config + "searchRules: [{keyMatcher: {name: a, path: [b]}}]\n---\nkind: X\napiVersion: v1\na: HOST/app:1.0.0\nb: HOST/app:1.2.0\n",
	"rule entireValue":              config + "searchRules: [{keyMatcher: {name: a}, updateStrategy: {entireValue: {}}}]\n---\nkind: X\napiVersion: v1\na: HOST/app:1.0.0\n",
	"rule none by path":             config + "searchRules: [{keyMatcher: {path: [spec, image]}, updateStrategy: {none: {}}}]\n---\nkind: X\napiVersion: v1\nspec: {image: anything}\nimage: HOST/app:1.0.0\n",
	"rule none before a key":        config + "searchRules: [{keyMatcher: {name: img}, updateStrategy: {none: {}}}]\nkeys: [img]\n---\nkind: X\napiVersion: v1\nimg: HOST/app:1.0.0\n",
	"first rule counts":             config + "searchRules: [{keyMatcher: {name: img}}, {keyMatcher: {name: img}, updateStrategy: {none: {}}}]\n---\nkind: X\napiVersion: v1\nimg: HOST/app:1.0.0\n",
	"the same rule twice":           config + "searchRules: [{keyMatcher: {name: img}}, {keyMatcher: {name: img}}]\nkeys: [img, img]\n---\nkind: X\napiVersion: v1\nimg: HOST/app:1.0.0\n",
	"rule by all, deep":             config + "searchRules: [{keyMatcher: {path: [l, {allIndexes: true}, m, {index: 0}]}}]\n---\nkind: X\napiVersion: v1\nl: [{m: ['HOST/app:1.0.0', no]}, {m: ['HOST/app:1.2.0']}]\n",
	"rule by path with a number":    config + "searchRules: [{keyMatcher: {path: [l, 1]}}]\n---\nkind: X\napiVersion: v1\nl: [a]\n",
	"rule of two configs":           config + "searchRules: [{keyMatcher: {name: a}}]\n---\n" + config + "keys: [b]\n---\nkind: X\napiVersion: v1\na: HOST/app:1.0.0\nb: HOST/app:1.2.0\n",
	"rule on a number":              config + "keys: [n]\n---\nkind: X\napiVersion: v1\nn: 5\nm: {n: [1, 2]}\n",
	"rule json, no JSON":            config + "searchRules: [{keyMatcher: {name: c.json}, updateStrategy: {json: {searchRules: [{keyMatcher: {name: img}}]}}}]\n---\nkind: ConfigMap\napiVersion: v1\ndata: {c.json: 'img: HOST/app:1.0.0'}\n",
	"rule json, list":               config + "searchRules: [{keyMatcher: {name: c.json}, updateStrategy: {json: {searchRules: [{keyMatcher: {path: [{allIndexes: true}, img]}}]}}}]\n---\nkind: ConfigMap\napiVersion: v1\ndata: {c.json: '[{\"img\": \"HOST/app:1.0.0\"}]'}\n",
	"rule json without rules":       config + "searchRules: [{keyMatcher: {name: c.json}, updateStrategy: {json: {}}}]\n---\nkind: ConfigMap\napiVersion: v1\ndata: {c.json: '{\"image\": \"HOST/app:1.0.0\"}'}\n",
	"rule yaml with JSON":           config + "searchRules: [{keyMatcher: {name: c.yml}, updateStrategy: {yaml: {searchRules: [{keyMatcher: {name: img}}]}}}]\n---\nkind: ConfigMap\napiVersion: v1\ndata: {c.yml: '{\"img\": \"HOST/app:1.0.0\"}'}\n",
	"rule yaml in json":             config + "searchRules: [{keyMatcher: {name: o}, updateStrategy: {json: {searchRules: [{keyMatcher: {name: i}, updateStrategy: {yaml: {searchRules: [{valueMatcher: {imageRepo: HOST/app}}]}}}]}}}]\n---\nkind: X\napiVersion: v1\no: '{\"i\": \"x: HOST/app:1.0.0\\n\"}'\n",
	"rule yaml, unknown image":      config + "searchRules: [{keyMatcher: {name: c.yml}, updateStrategy: {yaml: {searchRules: [{keyMatcher: {name: img}}]}}}]\n---\nkind: ConfigMap\napiVersion: v1\ndata: {c.yml: \"img: HOST/nope:1\"}\n",
	"existing annotation, old form": "kind: X\napiVersion: v1\nmetadata: {name: x, annotations: {kbld.k14s.io/images: \"- Metas:\\n  - Type: resolved\\n    URL: a\\n  URL: b\\n\"}}\nimage: HOST/app:1.0.0\n",
	"old annotation is kept":        "kind: X\napiVersion: v1\nmetadata: {name: x, annotations: {kbld.k14s.io/images: \"- Metas:\\n  - Type: resolved\\n    URL: a\\n  URL: b\\n\"}}\n",
	"images lock, several": "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\nimages:\n- image: HOST/app@DIGEST\n  annotations: {kbld.carvel.dev/id: app}\n" +
		"- image: HOST/other@DIGEST\n  annotations: {kbld.carvel.dev/id: 'other:1'}\n---\n" + deployment("app", "other:1", "HOST/app:1.2.0"),
	"images lock, old origins": "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\nimages:\n- image: HOST/app@DIGEST\n  annotations:\n    kbld.carvel.dev/id: app\n" +
		"    kbld.carvel.dev/origins: |\n      - Type: resolved\n        URL: app\n---\n" + deployment("app"),
	"images lock, broken origins": "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\nimages:\n- image: HOST/app@DIGEST\n  annotations: {kbld.carvel.dev/id: app, kbld.carvel.dev/origins: 'a: b'}\n---\n" + deployment("app"),
	"images lock with a tag":      "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\nimages:\n- image: HOST/app:1.0.0\n  annotations: {kbld.carvel.dev/id: app}\n---\n" + deployment("app"),
	"images lock and override":    config + "overrides: [{image: app, newImage: 'HOST/app:1.2.0'}]\n---\napiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\nimages:\n- image: HOST/app@DIGEST\n  annotations: {kbld.carvel.dev/id: app}\n---\n" + deployment("app"),
	"lock of kbld":                config + "minimumRequiredVersion: 0.30.0\noverrides: [{image: app, newImage: 'HOST/app@DIGEST', preresolved: true, origins: [{resolved: {url: 'HOST/app:1.0.0', tag: 1.0.0}}]}]\nkeys: [img]\n---\nkind: X\napiVersion: v1\nimg: app\n",
	"lock of kbld, too new":       config + "minimumRequiredVersion: 99.0.0\n---\n" + deployment("HOST/app:1.0.0"),
	"image in a string":           "kind: X\napiVersion: v1\nimage: 'HOST/app:1.0.0'\ntext: 'image: HOST/app:1.0.0'\n",
	"other kind":                  "apiVersion: kbld.k14s.io/v1alpha1\nkind: Other\nimage: HOST/app:1.0.0\n",
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
	// The binary of a test has no versions of its libraries.
	old := kbldversion.Version
	t.Cleanup(func() { kbldversion.Version = old })
	kbldversion.Version = "0.46.0"
	w := newWorld(t)
	digest := w.push("app:1.0.0", "1.0.0")
	w.push("app:same", "1.0.0")
	w.push("app:1.2.0", "1.2.0")
	w.push("app:2.0.0-rc.1", "2.0.0-rc.1")
	w.push("app:latest", "latest")
	w.push("other:x", "x")
	w.push("other:latest", "latest")
	for _, tag := range []string{"v1.0.0", "v1.10.0", "v1.9.0+build.1", "v2.0.0-alpha", "v1"} {
		w.push("vapp:"+strings.ReplaceAll(tag, "+", "_"), tag)
	}
	w.push("words:stable", "stable")
	pushIndex(t, w.host+"/multi:1")
	pushIndex(t, w.host+"/multi:1.0.0")
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
		{OS: "linux", Architecture: "s390x", Features: []string{"a", "b"}},
		{OS: "windows", Architecture: "amd64", OSVersion: "10.0.17763.1"},
		{OS: "windows", Architecture: "amd64", OSVersion: "10.0.20348.2", OSFeatures: []string{"win32k", "x"}},
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
