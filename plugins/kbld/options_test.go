package kbld

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/schema"
)

// sourceOf reads a Config with one source.
func sourceOf(t *testing.T, options string) source {
	t.Helper()
	text := "sources:\n- image: app\n  path: src\n" + options
	nodes, err := schema.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	d, err := readDocument(nodes[0], forApp)
	if err != nil {
		t.Fatal(err)
	}
	return d.sources[0]
}

func TestOwnOptions(t *testing.T) {
	got := sourceOf(t, `  buildkit:
    dockerfile: ../docker/Dockerfile.app
    target: last
    buildArgs: {VERSION: "1.20", EMPTY: }
    platforms: [linux/amd64, linux/arm64/v8, linux/arm/v7]
    contexts:
      base: ../lib
      docker.io/library/alpine:latest: docker-image://alpine:3
      site: https://example.com/site.git#main:docs
      work: git@example.com:team/work.git
      layout: oci-layout://../layout:v1
    secrets:
    - {id: a, env: TOKEN}
    - {id: b, file: ../secret.txt}
    - {id: c, secretRef: {name: s, key: k}}
    ssh:
    - {}
    - {id: other, paths: [~/.ssh/id, keys/id]}
    cacheFrom:
    - registry.example.com/app:cache
    - {type: gha, scope: app}
    cacheTo:
    - type=registry,ref=registry.example.com/app:cache,mode=max
    - {type: local, dest: ../cache, compression-level: 3, force-compression: true}
    - {type: s3, bucket: b, region: eu}
    - {type: azblob, account_url: u}
    - {type: inline}
    labels: {a: b}
    annotations: {c: d, "index:e": f, "manifest,index:g": h}
    attest: {provenance: max, sbom: registry.example.com/scanner:1}
    noCache: true
    noCacheFilter: [last]
    pull: true
    network: host
    entitlements: [security.insecure]
    addHosts: ["a=1.2.3.4", "b:::1"]
    shmSize: 64m
    ulimits: ["nofile=1024:2048"]
    cgroupParent: builds
    output: {ociLayout: out/layout, tar: /tmp/out.tar}
`).request
	want := request{
		dockerfile: "docker/Dockerfile.app",
		options: buildkit.Options{
			Target: "last", Args: map[string]string{"VERSION": "1.20", "EMPTY": ""},
			Platforms: []string{"linux/amd64", "linux/arm64", "linux/arm/v7"},
			Contexts: map[string]buildkit.Context{
				"base": {Folder: "lib"}, "alpine": {URL: "docker-image://alpine:3"}, "site": {URL: "https://example.com/site.git#main:docs"},
				"work": {URL: "git@example.com:team/work.git"}, "layout": {Layout: "layout:v1"},
			},
			CacheFrom: []buildkit.Cache{{Type: "registry", Attrs: map[string]string{"ref": "registry.example.com/app:cache"}}, {Type: "gha", Attrs: map[string]string{"scope": "app"}}},
			CacheTo: []buildkit.Cache{
				{Type: "registry", Attrs: map[string]string{"ref": "registry.example.com/app:cache", "mode": "max"}},
				{Type: "local", Attrs: map[string]string{"dest": "../cache", "compression-level": "3", "force-compression": "true"}},
				{Type: "s3", Attrs: map[string]string{"bucket": "b", "region": "eu"}},
				{Type: "azblob", Attrs: map[string]string{"account_url": "u"}},
				{Type: "inline", Attrs: map[string]string{}},
			},
			Labels: map[string]string{"a": "b"}, Annotations: map[string]string{"c": "d", "index:e": "f", "g": "h", "index:g": "h"},
			Provenance: "max", SBOM: "registry.example.com/scanner:1", NoCache: true, NoCacheFilter: []string{"last"}, Pull: true,
			Network: "host", Entitlements: []string{"network.host", "security.insecure"}, Hosts: []string{"a=1.2.3.4", "b=::1"},
			ShmSize: 64 << 20, Ulimits: []string{"nofile=1024:2048"}, CgroupParent: "builds",
		},
		secrets: []secret{{ID: "a", Env: "TOKEN"}, {ID: "b", File: "../secret.txt"}, {ID: "c", SecretRef: &secretKey{Name: "s", Key: "k"}}},
		ssh:     []sshKeys{{ID: "default"}, {ID: "other", Paths: []string{"~/.ssh/id", "keys/id"}}},
		output:  output{OCILayout: "out/layout", Tar: "/tmp/out.tar"},
	}
	if diff := cmp.Diff(want, got, sameRequest); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The fields that kbld has are read for each of its builders, and raw options win over them.
func TestFieldsOfOtherBuilders(t *testing.T) {
	fields := "{target: a, file: D, noCache: true, pull: true, rawOptions: [--target=b, --label=l=1, --pull=false]}"
	want := request{dockerfile: "src/D", options: buildkit.Options{Target: "b", NoCache: true, Labels: map[string]string{"l": "1"}}}
	withPlatform := want
	withPlatform.options.Platforms = []string{"linux/amd64", "linux/386"}
	defaults := request{dockerfile: "src/Dockerfile"}
	for options, want := range map[string]request{
		"":                                  defaults,
		"  docker: {}":                      defaults,
		"  docker: {build: {}}":             defaults,
		"  docker: {buildx: {}}":            defaults,
		"  kubectlBuildkit: {}":             defaults,
		"  buildkit:":                       defaults,
		"  buildkit: {}":                    defaults,
		"  docker: {build: " + fields + "}": want,
		"  docker: {build: " + strings.Replace(fields, "{", "{buildkit: false, ", 1) + "}":                            want,
		"  Docker: {Build: " + fields + "}":                                                                           want,
		"  docker: {buildx: " + fields + "}":                                                                          want,
		"  docker: {build: {target: x}, buildx: " + fields + "}":                                                      want,
		"  kubectlBuildkit: {build: " + strings.Replace(fields, "{", "{platform: 'linux/amd64,linux/386', ", 1) + "}": withPlatform,
		"  docker: {pull: true, noCache: true}":                                                                       defaults,
	} {
		t.Run(options, func(t *testing.T) {
			if diff := cmp.Diff(want, sourceOf(t, options).request, sameRequest); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Of the same place, docker's words and ours ask for the same build.
func TestSameInBothWords(t *testing.T) {
	own := sourceOf(t, `  buildkit:
    dockerfile: D
    target: t
    buildArgs: {A: b}
    platforms: [linux/amd64]
    contexts: {base: ../lib}
    secrets: [{id: a, env: TOKEN}]
    ssh: [{id: default, paths: [/key]}]
    cacheFrom: [{type: registry, ref: example.com/cache}]
    cacheTo: [{type: inline}]
    labels: {l: m}
    annotations: {n: o}
    attest: {provenance: true, sbom: true}
    noCacheFilter: [s]
    network: none
    addHosts: ["h=1.1.1.1"]
    shmSize: 1g
    ulimits: [nproc=3]
    cgroupParent: p
    output: {tar: /o.tar}
`)
	docker := sourceOf(t, `  docker:
    buildx:
      file: D
      target: t
      rawOptions: [--build-arg=A=b, --platform=linux/amd64, --build-context=base=../lib, "--secret=id=a,env=TOKEN", --ssh=default=/key,
        --cache-from=example.com/cache, --cache-to=type=inline, --label=l=m, --annotation=n=o, --provenance=true, --sbom=true,
        --no-cache-filter=s, --network=none, "--add-host=h:1.1.1.1", --shm-size=1g, --ulimit=nproc=3, --cgroup-parent=p,
        "--output=type=oci,dest=/o.tar"]
`)
	if diff := cmp.Diff(own.request, docker.request, sameRequest); diff != "" {
		t.Errorf("(-buildkit +docker):\n%s", diff)
	}
}

func TestIgnoredKeys(t *testing.T) {
	nodes, err := schema.Parse("c.yml", []byte(`
sources:
- {image: a, path: b, docker: {pull: true, build: {buildkit: true, rawOption: []}, buildx: {buildkit: true}}}
- {image: a, path: b, kubectlBuildkit: {build: {platform: linux/amd64, platforms: x}}, pack: {build: {bilder: x}}}
overrides:
- {image: a, newImage: b, tagSelection: {semver: {constraint: x}}, platformSelection: {"os.version": x, arch: y}}
searchRules:
- {keyMatcher: {name: a, nam: b}, valueMatcher: {image: a}, updateStrategy: {none: {}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := `c.yml:3:32: sources[0].docker.pull: unknown field, which kbld ignores (known: build, buildx)
c.yml:3:68: sources[0].docker.build.rawOption: unknown field, which kbld ignores (did you mean rawOptions?)
c.yml:3:93: sources[0].docker.buildx.buildkit: unknown field, which kbld ignores (known: file, noCache, pull, rawOptions, target)
c.yml:4:72: sources[1].kubectlBuildkit.build.platforms: unknown field, which kbld ignores (did you mean platform?)
c.yml:4:103: sources[1].pack.build.bilder: unknown field, which kbld ignores (did you mean builder?)
c.yml:6:51: overrides[0].tagSelection.semver.constraint: unknown field, which kbld ignores (did you mean constraints?)
c.yml:6:105: overrides[0].platformSelection.arch: unknown field, which kbld ignores (known: architecture, features, os, os.features, os.version, variant)
c.yml:8:26: searchRules[0].keyMatcher.nam: unknown field, which kbld ignores (did you mean name?)`
	if diff := cmp.Diff(want, strings.Join(unknownKeys(nodes[0]), "\n")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
