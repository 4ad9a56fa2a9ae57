package kbld_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	inprocess "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"strake.dev/strake/internal/peers"
)

const config = "apiVersion: kbld.k14s.io/v1alpha1\nkind: Config\n"

// deployment is a manifest that names images.
func deployment(refs ...string) string {
	text := "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: d\nspec:\n  containers:\n"
	for _, ref := range refs {
		text += "  - image: " + ref + "\n"
	}
	return text
}

// files are what the calls of the table find in their folder. HOST is a registry, DIGEST that of its
// app:1, WEB a web server that has the same files.
var files = map[string]string{
	"app.yml":           deployment("HOST/app:1", "HOST/app:2"),
	"dir/b.yaml":        deployment("HOST/app:2"),
	"dir/a.json":        `{"kind": "X", "apiVersion": "v1", "image": "HOST/app:1"}`,
	"dir/sub/c.yml":     deployment("HOST/app:1"),
	"dir/ignored.txt":   "kind: [",
	"multi.yml":         deployment("HOST/multi:1"),
	"digest.yml":        deployment("HOST/app@DIGEST"),
	"lonely.yml":        deployment("somewhere"),
	"empty.yml":         "",
	"broken.yml":        "a: b: c\n",
	"list.yml":          "- a\n",
	"missing.yml":       deployment("HOST/app:1", "HOST/app:nope", "HOST/none:1", "HOST/App:1"),
	"map.json":          `{"somewhere": "HOST/app@DIGEST", "other": "x"}`,
	"broken.json":       `{`,
	"keys.yml":          config + "keys: [sidecar]\nsearchRules:\n- keyMatcher: {path: [a, {index: 0}]}\n- valueMatcher: {imageRepo: HOST/app}\n  updateStrategy: {entireValue: {}}\n---\nkind: X\napiVersion: v1\nsidecar: HOST/app:1\nimage: HOST/app:2\n",
	"platform.yml":      config + "overrides: [{image: app, newImage: 'HOST/multi:1', platformSelection: {os: linux, architecture: arm64}}]\n---\n" + deployment("app", "HOST/multi:1", "HOST/app@DIGEST"),
	"preresolved.yml":   config + "overrides: [{image: somewhere, newImage: anything, preresolved: true}]\n---\n" + deployment("somewhere"),
	"bad-config.yml":    config + "overrides: [{image: a}]\n",
	"bad-rule.yml":      config + "searchRules: [{}]\n",
	"bad-version.yml":   config + "minimumRequiredVersion: 9.0.0\n",
	"version.yml":       config + "minimumRequiredVersion: 0.40.0\n---\n" + deployment("HOST/app:1"),
	"source.yml":        config + "sources: [{image: app, path: src}]\n---\n" + deployment("app", "HOST/app:1"),
	"source-gone.yml":   config + "sources: [{image: app, path: nowhere}]\ndestinations: [{image: app, newImage: HOST/new}]\n---\n" + deployment("app"),
	"source-file.yml":   config + "sources: [{image: app, path: app.yml}]\ndestinations: [{image: app, newImage: HOST/new}]\n---\n" + deployment("app"),
	"unused-source.yml": config + "sources: [{image: app, path: nowhere, docker: {build: {rawOptions: [--what]}}}]\n---\n" + deployment("HOST/app:1"),
	"images-lock.yml": "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\nimages:\n- image: HOST/app@DIGEST\n  annotations:\n    kbld.carvel.dev/id: somewhere\n" +
		"    kbld.carvel.dev/origins: |\n      - resolved: {tag: x, url: app}\n",
	"annotated.yml": "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  annotations:\n    kbld.k14s.io/images: |\n      - origins:\n        - resolved: {tag: \"1\", url: \"HOST/app:1\"}\n        url: HOST/app@DIGEST\nspec:\n  image: HOST/app@DIGEST\n",
}

// calls are command lines, with words apart from each other by blanks; “<” and a file are standard
// input.
var calls = []string{
	"--help", "-h", "help", "help inspect", "inspect --help", "i -h", "package --help", "unpackage --help", "relocate --help", "version --help", "help nope",
	"version", "--version", "-v", "version --json", "version --tty", "version --json --tty", "version extra", "version --nope",
	"", "extra", "--nope", "--build=maybe", "--file", "--color=false", "--json", "--tty",

	"-f app.yml", "-f app.yml --json", "-f app.yml --tty", "-f app.yml --color=false -y", "-f app.yml --json --tty --column image", "-f app.yml extra",
	"-f dir", "-f dir,app.yml -f digest.yml", "-f dir/ignored.txt", "-f - <app.yml", "--file=- -f dir/b.yaml <lonely.yml", "-f WEB/app.yml", "-f WEB/nothing.yml",
	"-f empty.yml", "-f broken.yml", "-f list.yml", "-f nowhere.yml", "-f app.yml,nowhere.yml", "-f dir -f broken.yml",
	"-f app.yml --sort=false", "-f app.yml --build-concurrency 1",
	"-f app.yml --images-annotation=false", "-f app.yml --images-annotation=false --json",
	"-f app.yml --lock-output lock.yml", "-f keys.yml --lock-output lock.yml", "-f app.yml --imgpkg-lock-output lock.yml",
	"-f app.yml --imgpkg-lock-output lock.yml --origins-annotation=false", "-f digest.yml --imgpkg-lock-output lock.yml",
	"-f preresolved.yml --lock-output lock.yml", "-f preresolved.yml --imgpkg-lock-output lock.yml",
	"-f app.yml --lock-output lock.yml --imgpkg-lock-output lock2.yml", "-f app.yml --lock-output no/such/lock.yml", "-f app.yml --imgpkg-lock-output no/such/lock.yml",
	"-f empty.yml --lock-output lock.yml", "-f empty.yml --imgpkg-lock-output lock.yml", "-f missing.yml --lock-output lock.yml",
	"-f app.yml --unresolved-inspect", "-f dir --unresolved-inspect --json", "-f empty.yml --unresolved-inspect", "-f missing.yml --unresolved-inspect", "-f keys.yml --unresolved-inspect",
	"-f lonely.yml --image-map-file map.json", "-f lonely.yml --image-map-file nope.json", "-f lonely.yml --image-map-file broken.json", "-f lonely.yml -f images-lock.yml", "-f lonely.yml -f images-lock.yml --lock-output lock.yml",
	"-f multi.yml", "-f multi.yml --platform linux/arm64", "-f multi.yml --platform linux/arm/v7", "-f multi.yml --platform plan9/arm64", "-f multi.yml --platform linux", "-f multi.yml --platform a/b/c/d",
	"-f app.yml --platform linux/arm64", "-f platform.yml --platform linux/amd64", "-f platform.yml --platform linux/amd64 --imgpkg-lock-output lock.yml",
	"-f missing.yml", "-f bad-config.yml", "-f bad-rule.yml", "-f bad-version.yml", "-f version.yml", "-f app.yml --registry-ca-cert-path nope", "-f app.yml --registry-ca-cert-path app.yml", "-f app.yml --registry-verify-certs=false",
	"-f source.yml --build=false", "-f source-gone.yml --build=false", "-f source-gone.yml", "-f source-file.yml", "-f unused-source.yml",

	"inspect -f annotated.yml", "inspect -f annotated.yml --json", "inspect -f annotated.yml --tty", "i -f app.yml --column image", "insp -f broken.yml", "inspect",
	"package -f digest.yml", "package -f app.yml -o x.tar", "package -f digest.yml -o x.tar --concurrency 1", "pkg -f images-lock.yml -o x.tar",
	"unpackage -f digest.yml", "unpackage -f digest.yml -i nope.tar", "unpackage -f digest.yml -i nope.tar -r HOST/into",
	"unpackage -f digest.yml -i packed.tar -r HOST/into --concurrency 1", "unpkg -f lonely.yml -f images-lock.yml -i packed.tar -r HOST/into --lock-output lock.yml --concurrency 1",
	"relocate -f digest.yml", "relocate -r HOST/into", "relocate -f app.yml -r HOST/into", "relocate -f digest.yml -r HOST/into --concurrency 1", "relocate -f lonely.yml -f images-lock.yml -r HOST/into --lock-output lock.yml --concurrency 1",
}

func TestSame(t *testing.T) {
	host, digest := newRegistry(t)
	fill := map[string]string{}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, fill[strings.TrimPrefix(r.URL.Path, "/")])
	}))
	t.Cleanup(web.Close)
	values := strings.NewReplacer("HOST", host, "DIGEST", digest, "WEB", web.URL)
	for name, text := range files {
		fill[name] = values.Replace(text)
	}
	dir := folder(t, fill)
	if out, err := prepare(exec.CommandContext(t.Context(), peers.Carvel(t, "kbld"), "package", "-f", "digest.yml", "-o", "packed.tar"), call{dir: dir}).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, line := range calls {
		t.Run(line, func(t *testing.T) {
			args, stdin, _ := strings.Cut(line, " <")
			c := call{args: strings.Fields(values.Replace(args)), dir: dir, stdin: fill[stdin]}
			want, got := both(t, c)
			want.Stderr, got.Stderr = comparable(want.Stderr), comparable(got.Stderr)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("differs (-kbld +ours):\n%s", diff)
			}
		})
	}
}

var (
	// advice is the one sentence that strake adds where builds are disallowed.
	advice = regexp.MustCompile(`(?m)\n  hint: the operator of a cluster can allow builds: .*$`)
	// item is how kbld begins what it says about one image; the rest depends on which requests were made.
	item = regexp.MustCompile(`(?m)^(- Resolving image '[^']*': )(GET |Get |there is no|repository |tags? |could not|can't read|none of|Expected to find (?:only )?one image|index ).*(\n  hint: .*(\n {8}.*)*)?`)
	// pushed is what the library says in the order in which its workers come along.
	took   = regexp.MustCompile(`\([\d.]+[mµn]?s\)`)
	pushed = regexp.MustCompile(`(?m)^\w+ \| .*(importing|imported|exporting|exported|will export|done: file).*$`)
)

// comparable makes of what was written to standard error what has to be the same: kbld says in any
// order what is wrong with images, and so do the workers of its other commands.
func comparable(text string) string {
	text = advice.ReplaceAllString(text, "")
	text = item.ReplaceAllString(text, "$1…")
	head, items, _ := strings.Cut(text, "\n- ")
	if items != "" {
		list := strings.Split(strings.TrimRight(items, "\n"), "\n- ")
		slices.Sort(list)
		text = head + "\n- " + strings.Join(list, "\n- ")
	}
	return took.ReplaceAllString(pushed.ReplaceAllString(text, "…"), "(…)")
}

// newRegistry serves a registry with a few images, and returns its host and the digest of app:1.
func newRegistry(t *testing.T) (host, digest string) {
	t.Helper()
	server := httptest.NewServer(inprocess.New(inprocess.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	host = strings.TrimPrefix(server.URL, "http://")
	for _, ref := range []string{"app:1", "app:2"} {
		img, err := random.Image(64, 2)
		if err != nil {
			t.Fatal(err)
		}
		tag := tagOf(t, host+"/"+ref)
		if err := remote.Write(tag, img); err != nil {
			t.Fatal(err)
		}
		if ref == "app:1" {
			d, err := img.Digest()
			if err != nil {
				t.Fatal(err)
			}
			digest = d.String()
		}
	}
	index := v1.ImageIndex(empty.Index)
	for _, p := range []v1.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}, {OS: "linux", Architecture: "arm", Variant: "v7"}} {
		img, err := random.Image(16, 1)
		if err != nil {
			t.Fatal(err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &p}})
	}
	if err := remote.WriteIndex(tagOf(t, host+"/multi:1"), index); err != nil {
		t.Fatal(err)
	}
	return host, digest
}

func tagOf(t *testing.T, ref string) name.Tag {
	t.Helper()
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	return tag
}
