package vendir_test

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"
	"carvel.dev/vendir/pkg/vendir/directory"
	"carvel.dev/vendir/pkg/vendir/fetch/cache"
	"github.com/cppforlife/go-cli-ui/ui"
	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"sigs.k8s.io/yaml"

	"strake.dev/strake/internal/git/gittest"
	"strake.dev/strake/schema"
)

// vendirSync runs vendir's own library on an entry, and returns its lock and what it fetched.
func vendirSync(t *testing.T, entry string, o objects) (schema.LockedSource, map[string]string) {
	t.Helper()
	var contents vendirconf.DirectoryContents
	if err := yaml.UnmarshalStrict([]byte(entry), &contents); err != nil {
		t.Fatal(err)
	}
	contents.Path = "."
	var secrets []vendirconf.Secret
	var configMaps []vendirconf.ConfigMap
	for name, data := range o {
		values, err := o.get(name)
		if err != nil {
			t.Fatal(err)
		}
		meta := vendirconf.GenericMetadata{Name: name}
		secrets = append(secrets, vendirconf.Secret{Metadata: meta, Data: values})
		configMaps = append(configMaps, vendirconf.ConfigMap{Metadata: meta, Data: data})
	}
	t.Chdir(t.TempDir()) // vendir stages in the working directory
	noCache, err := cache.NewCache("", "")
	if err != nil {
		t.Fatal(err)
	}
	dir := directory.NewDirectory(vendirconf.Directory{Path: "out", Contents: []vendirconf.DirectoryContents{contents}}, vendirconf.LockDirectory{}, ui.NewNoopUI())
	lock, err := dir.Sync(directory.SyncOpts{RefFetcher: directory.NewNamedRefFetcher(secrets, configMaps), Cache: noCache})
	if err != nil {
		t.Fatal(err)
	}
	tree := treeOf(t, "out")
	for name := range tree {
		if name == ".git" || strings.HasPrefix(name, ".git/") {
			delete(tree, name)
		}
	}
	return schema.LockedSource{LockDirectoryContents: lock.Contents[0]}, tree
}

func lockBytes(t *testing.T, entry schema.LockedSource) string {
	t.Helper()
	entry.Path, entry.Digest = ".", "" // vendir has no digests
	text, err := schema.Lock{Sources: []schema.LockedSource{entry}}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// compare lets both fetch the same, and wants the same lock, byte by byte, and the same files.
// adjust turns vendir's files into what strake means to have otherwise.
func compare(t *testing.T, dir, entry, forVendir string, o objects, adjust func(map[string]string)) {
	t.Helper()
	f := newFixture(t, dir, entry, o)
	got := f.mustRun()
	if forVendir == "" {
		forVendir = entry
	}
	want, wantTree := vendirSync(t, forVendir, o)
	if adjust != nil {
		adjust(wantTree)
	}
	if d := cmp.Diff(lockBytes(t, want), lockBytes(t, got)); d != "" {
		t.Errorf("lock: %s", d)
	}
	if d := cmp.Diff(wantTree, f.tree()); d != "" {
		t.Errorf("files: %s", d)
	}
}

func TestGitAsVendir(t *testing.T) {
	root := t.TempDir()
	r := gittest.New(t, root, "repo")
	r.Write("config/a.yml", "a: 1", 0o644)
	r.Write("config/run.sh", "#!/bin/sh", 0o755)
	r.Write("LICENSE", "free", 0o644)
	r.Link("config/a.yml", "link")
	first := r.Commit("first\n\nwith a body")
	r.Git("tag", "v1.0.0")
	r.Write("config/a.yml", "a: 2", 0o644)
	r.Git("tag", "--annotate", "v1.1.0-rc.1", "--message", "x", r.Commit("release candidate"))
	r.Write("config/a.yml", "a: 3", 0o644)
	r.Commit("main goes on")
	server := httptest.NewServer(gittest.Handler(t, root))
	defer server.Close()
	url := "url: " + server.URL + "/repo/.git"
	for name, ref := range map[string]string{
		"branch": "ref: origin/main", "short branch": "ref: main", "tag": "ref: v1.0.0", "annotated tag": "ref: v1.1.0-rc.1", "full tag": "ref: refs/tags/v1.0.0",
		"commit": "ref: " + first, "selection": "refSelection: {semver: {constraints: \">=1.0.0\"}}", "prereleases": "refSelection: {semver: {prereleases: {}}}",
	} {
		t.Run(name, func(t *testing.T) {
			depth := ", depth: 1"
			if name == "commit" {
				depth = "" // vendir finds no commit in histories that are cut off
			}
			entry := "git: {" + url + ", " + ref + "}"
			compare(t, "", entry, "git: {"+url+", "+ref+depth+"}", nil, nil)
		})
	}
	t.Run("subPath", func(t *testing.T) {
		compare(t, "", "git: {"+url+", ref: origin/main, subPath: config}", "git: {"+url+", ref: origin/main, depth: 1}\nnewRootPath: config", nil, nil)
	})
}

func TestInlineAsVendir(t *testing.T) {
	o := objects{"one": {"b.yml": "b"}, "two": {"c.yml": "c", "d.yml": "d"}}
	compare(t, "", `inline: {paths: {a.yml: "a", dir/e.yml: "e"}, pathsFrom: [{secretRef: {name: one}}, {configMapRef: {name: two, directoryPath: deep/er}}]}`, "", o, nil)
}

func TestDirectoryAsVendir(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"src/a.yml": "a", "src/run": "#!", "src/deep/er/b.yml": "b", "src/deep/c.txt": "c", "src/link": "-> deep/c.txt", "src/skip/d.yml": "d",
	})
	if err := os.MkdirAll(filepath.Join(dir, "src/empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	abs := filepath.Join(dir, "src")
	compare(t, dir, "directory: {path: src}", "directory: {path: "+abs+"}", nil, nil)
	compare(t, dir, "directory: {path: src, includePaths: [\"**/*.yml\"]}", "directory: {path: "+abs+"}\nincludePaths: [\"**/*.yml\"]", nil, nil)
	compare(t, dir, "directory: {path: src, excludePaths: [\"skip/**\", \"**/*.txt\", link]}", "directory: {path: "+abs+"}\nexcludePaths: [\"skip/**\", \"**/*.txt\", link]", nil, nil)
	compare(t, dir, "directory: {path: src, includePaths: [\"{deep,skip}/**/*\"], excludePaths: [\"deep/*.txt\"]}", "directory: {path: "+abs+"}\nincludePaths: [\"{deep,skip}/**/*\"]\nexcludePaths: [\"deep/*.txt\"]", nil, nil)
}

// vendir loses executable bits; strake keeps them.
func executables(names ...string) func(map[string]string) {
	return func(tree map[string]string) {
		for _, n := range names {
			tree[n] = "x " + tree[n]
		}
	}
}

func TestHTTPAsVendir(t *testing.T) {
	files := map[string]string{"config/a.yml": "a", "config/deep/b.yml": "b", "run": "#!"}
	mux := http.NewServeMux()
	for path, data := range map[string][]byte{
		"/a.tgz": tgz(t, files), "/no-suffix": zipOf(t, files), "/plain.yml": []byte("plain: true\n"), "/folder/": []byte("index"), "/one.gz": []byte("\x1f\x8bno gzip"),
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) })
	}
	mux.HandleFunc("/auth/a.tgz", func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "pw" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write(tgz(t, files))
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	o := objects{"login": {"username": "me", "password": "pw"}}
	compare(t, "", "http: {url: "+server.URL+"/a.tgz}", "", nil, executables("run"))
	compare(t, "", "http: {url: \""+server.URL+"/no-suffix?x=y\"}", "", nil, executables("run"))
	compare(t, "", "http: {url: "+server.URL+"/plain.yml}", "", nil, nil)
	compare(t, "", "http: {url: "+server.URL+"/folder/}", "", nil, nil)
	compare(t, "", "http: {url: "+server.URL+"/one.gz}", "", nil, nil)
	compare(t, "", "http: {url: "+server.URL+"/auth/a.tgz, secretRef: {name: login}}", "", o, executables("run"))
	compare(t, "", "http: {url: "+server.URL+"/a.tgz, subPath: config}", "http: {url: "+server.URL+"/a.tgz}\nnewRootPath: config", nil, nil)
}

// vendir lets the lowest layer win, and ignores what a later one removes.
func upperLayerWins(tree map[string]string) {
	delete(tree, "gone.yml")
	tree["dir/b.yml"] = "b2"
}

func TestImageAsVendir(t *testing.T) {
	repo := newRegistry(t) + "/team/config"
	img := imageOf(t, nil,
		tgz(t, map[string]string{"a.yml": "a", "gone.yml": "x", "dir/b.yml": "b", "run": "#!", "sub/c.yml": "c"}),
		tgz(t, map[string]string{".wh.gone.yml": "", "dir/b.yml": "b2"}))
	digest := push(t, repo, img, "v1.0.0", "latest", "v1.2.0", "v2.0.0-rc.1")
	for name, ref := range map[string]string{
		"tag": "url: " + repo + ":v1.0.0", "no tag": "url: " + repo, "digest": "url: " + repo + "@" + digest, "both": "url: " + repo + ":v1.0.0@" + digest,
		"selection": "url: " + repo + ", tagSelection: {semver: {constraints: \"<2.0.0\"}}",
	} {
		t.Run(name, func(t *testing.T) {
			compare(t, "", "image: {"+ref+"}", "", nil, upperLayerWins)
		})
	}
	compare(t, "", "image: {url: "+repo+", subPath: sub}", "image: {url: "+repo+"}\nnewRootPath: sub", nil, nil)
}

const imagesYAML = `---
apiVersion: imgpkg.carvel.dev/v1alpha1
kind: ImagesLock
images:
- image: registry.example.com/team/app@%s
  annotations: {kbld.carvel.dev/id: app}
- image: registry.example.com/other@%s
`

func TestBundleAsVendir(t *testing.T) {
	host := newRegistry(t)
	app := imageOf(t, nil, tgz(t, map[string]string{"app": "1"}))
	other := imageOf(t, nil, tgz(t, map[string]string{"other": "1"}))
	lock := strings.Replace(strings.Replace(imagesYAML, "%s", mustDigest(t, app), 1), "%s", mustDigest(t, other), 1)
	bundle := imageOf(t, map[string]string{"dev.carvel.imgpkg.bundle": "true"},
		tgz(t, map[string]string{".imgpkg/images.yml": lock, "config/a.yml": "a", "config/run": "#!"}))
	locations := imageOf(t, nil, tgz(t, map[string]string{"image-locations.yml": "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImageLocations\nimages: []\n"}))

	part := host + "/part"
	push(t, part, bundle, "v1")
	push(t, part, app)
	whole := host + "/whole"
	push(t, whole, bundle, "v1", "v1.1.0")
	push(t, whole, app)
	push(t, whole, other)
	copied := host + "/copied"
	digest := push(t, copied, bundle, "v1")
	push(t, copied, locations, strings.Replace(digest, ":", "-", 1)+".image-locations.imgpkg")

	for name, ref := range map[string]string{
		"not relocated": "image: " + part + ":v1", "relocated": "image: " + whole + ":v1", "copied": "image: " + copied + "@" + digest,
		"selection": "image: " + whole + ", tagSelection: {semver: {constraints: \"1.x\"}}",
	} {
		t.Run(name, func(t *testing.T) {
			compare(t, "", "imgpkgBundle: {"+ref+"}", "", nil, nil)
			f := newFixture(t, "", "imgpkgBundle: {"+ref+"}", nil)
			f.mustRun()
			if near := strings.Contains(f.tree()[".imgpkg/images.yml"], host); near != (name != "not relocated") {
				t.Errorf("images.yml: %s", f.tree()[".imgpkg/images.yml"])
			}
		})
	}
}

func mustDigest(t testing.TB, img v1.Image) string {
	t.Helper()
	d, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

// What vendir's own unpacking lets out of its folder is refused.
func TestArchiveThatVendirLetsOut(t *testing.T) {
	data := tgz(t, map[string]string{"../../escaped": "dead", "a": "x"})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) }))
	defer server.Close()
	f := newFixture(t, "", "http: {url: "+server.URL+"/a.tgz}", nil)
	if _, err := f.run(); err == nil || !strings.Contains(err.Error(), `entry "../../escaped" leads out of the folder`) {
		t.Errorf("got %v", err)
	}
	f.empty()
	around := filepath.Dir(f.job.Out.Dir())
	err := filepath.WalkDir(around, func(p string, _ fs.DirEntry, err error) error {
		if filepath.Base(p) == "escaped" {
			t.Errorf("%s was written", p)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
