package sync_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"
	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/internal/cache"
)

// one is a configuration of one content.
func one(content string) string {
	return "directories:\n- path: out\n  contents:\n  - " + strings.ReplaceAll(content, "\n", "\n    ") + "\n"
}

// gitRefs are references in all forms, with what else concerns them.
var gitRefs = map[string]string{
	"branch": "ref: origin/main", "branch with slash": "ref: origin/feature/x", "tag": "ref: v1.0.0", "annotated tag": "ref: v1.1.0-rc.1", "commit": "ref: FIRST",
	"short branch": "ref: main", "selection": "refSelection: {semver: {}}", "constraint": "refSelection: {semver: {constraints: '<1.0.0'}}",
	"prereleases": "refSelection: {semver: {constraints: '>1.0.0-0', prereleases: {}}}", "identifiers": "refSelection: {semver: {constraints: '>1.0.0-0', prereleases: {identifiers: [rc]}}}",
	"depth of a branch": "ref: origin/main, depth: 1", "depth of a tag": "ref: v1.1.0-rc.1, depth: 1", "depth 2": "ref: v1.0.0, depth: 2",
	"no submodules": "ref: origin/main, skipInitSubmodules: true", "no lfs": "ref: origin/main, lfsSkipSmudge: true",
}

// filters are applied to git, web, image and directory contents.
var filters = map[string]string{
	"include": "includePaths: ['**/*.yml']", "include folder": "includePaths: ['*/**/*']", "exclude": "excludePaths: ['**/*.yml']",
	"include and exclude": "includePaths: ['**/*.yml', '*.md']\nexcludePaths: ['**/b.yml']", "no legal": "includePaths: ['**/*.yml']\nlegalPaths: []",
	"own legal": "includePaths: ['**/*.yml']\nlegalPaths: ['**/*.md', '**/NOTICE*']", "dotted": "includePaths: ['./**/a.*']", "braces": "includePaths: ['**/*.{md,yml}']",
}

// configurations are all that both are to treat alike, by name.
func configurations() map[string]string {
	all := map[string]string{
		"inline":              one("path: a\ninline: {paths: {x.yml: 'a: 1', d/y.txt: hello}}"),
		"inline dot":          one("path: .\ninline: {paths: {x.yml: 'a: 1'}}"),
		"inline secret":       one("path: a\ninline: {pathsFrom: [{secretRef: {name: s}}, {configMapRef: {name: m, directoryPath: d}}]}") + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {x: eHg=}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {f.txt: text}\n",
		"inline include":      one("path: a\ninline: {paths: {x.yml: 'a: 1', d/y.txt: hello}}\nincludePaths: ['**/*.txt']"),
		"inline root":         one("path: a\ninline: {paths: {x.yml: 'a: 1', d/y.txt: hello}}\nnewRootPath: d"),
		"http plain":          one("path: a\nhttp: {url: WEB/plain.txt}"),
		"http query":          one("path: a\nhttp: {url: 'WEB/plain.txt?a=b'}"),
		"http slash":          one("path: a\nhttp: {url: WEB/x/plain.txt}"),
		"http sum":            one("path: a\nhttp: {url: WEB/plain.txt, sha256: SUM}"),
		"http secret":         one("path: a\nhttp: {url: WEB/private/plain.txt, secretRef: {name: s}}") + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {username: dXNlcg==, password: cGFzcw==}\n",
		"http tgz":            one("path: a\nhttp: {url: WEB/a.tgz}"),
		"http tgz sum":        one("path: a\nhttp: {url: WEB/a.tgz, sha256: TGZ}"),
		"http zip":            one("path: a\nhttp: {url: WEB/a.zip}"),
		"http not unpacked":   one("path: a\nhttp: {url: WEB/a.tgz, disableUnpack: true}"),
		"http root":           one("path: a\nhttp: {url: WEB/a.tgz}\nnewRootPath: dir"),
		"http deep root":      one("path: a\nhttp: {url: WEB/a.zip}\nnewRootPath: dir/deep"),
		"image tag":           one("path: a\nimage: {url: 'HOST/app:v1.0.0'}"),
		"image latest":        one("path: a\nimage: {url: HOST/app}"),
		"image digest":        one("path: a\nimage: {url: HOST/app@DIGEST}"),
		"image both":          one("path: a\nimage: {url: 'HOST/app:v1.0.0@DIGEST'}"),
		"image selection":     one("path: a\nimage: {url: HOST/app, tagSelection: {semver: {constraints: '>=1.0.0'}}}"),
		"image prereleases":   one("path: a\nimage: {url: HOST/app, tagSelection: {semver: {prereleases: {}}}}"),
		"image root":          one("path: a\nimage: {url: HOST/app}\nnewRootPath: dir"),
		"image time-out":      one("path: a\nimage: {url: HOST/app, responseHeaderTimeout: 20, dangerousSkipTLSVerify: true}"),
		"bundle tag":          one("path: a\nimgpkgBundle: {image: 'HOST/app:bundle'}"),
		"bundle digest":       one("path: a\nimgpkgBundle: {image: HOST/app@BUNDLE}"),
		"bundle selection":    one("path: a\nimgpkgBundle: {image: HOST/app, tagSelection: {semver: {constraints: '<1.0.0'}}}"),
		"bundle nested":       one("path: a\nimgpkgBundle: {image: 'HOST/app:nested'}"),
		"bundle recursive":    one("path: a\nimgpkgBundle: {image: 'HOST/app:nested', recursive: true}"),
		"bundle recursive @":  one("path: a\nimgpkgBundle: {image: HOST/app@NESTED, recursive: true}"),
		"bundle include":      one("path: a\nimgpkgBundle: {image: 'HOST/app:bundle'}\nincludePaths: ['config/**/*']"),
		"directory":           one("path: a\ndirectory: {path: LOCAL/dir}"),
		"directory root":      one("path: a\ndirectory: {path: LOCAL/dir}\nnewRootPath: deep"),
		"directory of one":    one("path: .\ndirectory: {path: LOCAL/dir/deep}"),
		"directory in two":    "directories:\n- path: out/a\n  contents: [{path: x, directory: {path: LOCAL/dir}}]\n- path: out/b\n  contents: [{path: ., directory: {path: LOCAL/dir/deep}}]\n",
		"release tag":         one("path: a\ngithubRelease: {slug: o/r, tag: v1.0.0}"),
		"release latest":      one("path: a\ngithubRelease: {slug: o/r, latest: true}"),
		"release selection":   one("path: a\ngithubRelease: {slug: o/r, tagSelection: {semver: {constraints: '<2.0.0'}}}"),
		"release url":         one("path: a\ngithubRelease: {url: 'https://api.github.com/repos/o/r/releases/tags/v1.0.0'}"),
		"release assets":      one("path: a\ngithubRelease: {slug: o/r, tag: v1.0.0, assetNames: ['*.txt']}"),
		"release checksums":   one("path: a\ngithubRelease: {slug: o/r, tag: v1.0.0, assetNames: ['plain.txt'], checksums: {plain.txt: SUM}}"),
		"release unchecked":   one("path: a\ngithubRelease: {slug: o/r, tag: v1.0.0, disableAutoChecksumValidation: true}"),
		"release unpacked":    one("path: a\ngithubRelease: {slug: o/r, tag: v1.0.0, assetNames: ['a.tgz'], unpackArchive: {path: a.tgz}}"),
		"release of two":      one("path: a\ngithubRelease: {slug: o/r, tag: v1.0.0, unpackArchive: {path: a.tgz}}\nnewRootPath: dir"),
		"release http":        one("path: a\ngithubRelease: {slug: o/r, tag: v1.0.0, http: {url: 'WEB/{tag}/plain.txt'}}"),
		"release http inner":  one("path: a\ngithubRelease: {slug: o/r, tag: v1.0.0, http: {url: 'WEB/inner.tgz'}, unpackArchive: {path: archives/a.tgz}}"),
		"permissions":         "directories:\n- path: out\n  permissions: 0750\n  contents:\n  - {path: a, permissions: 0711, inline: {paths: {x: x}}}\n  - {path: b, inline: {paths: {x: x}}}\n",
		"lazy":                one("path: a\nlazy: true\ninline: {paths: {x: x}}"),
		"lazy git":            one("path: a\nlazy: true\ngit: {url: REPO, ref: origin/main}"),
		"all kinds":           "directories:\n- path: out\n  contents:\n  - {path: g, git: {url: REPO, ref: origin/main}}\n  - {path: h, http: {url: WEB/a.tgz}}\n  - {path: i, image: {url: HOST/app}}\n  - {path: b, imgpkgBundle: {image: 'HOST/app:bundle'}}\n  - {path: d, directory: {path: LOCAL/dir}}\n  - {path: n/deep/er, inline: {paths: {x: x}}}\n  - {path: r, githubRelease: {slug: o/r, latest: true}}\n",
		"three of one commit": "directories:\n- path: out\n  contents:\n  - {path: a, git: {url: REPO, ref: v1.0.0}, includePaths: ['config/**/*']}\n  - {path: b, git: {url: REPO, ref: v1.0.0}, newRootPath: config}\n  - {path: c, git: {url: REPO, ref: v1.0.0}}\n",
		"two of one image":    "directories:\n- path: out\n  contents:\n  - {path: a, image: {url: HOST/app}}\n  - {path: b, image: {url: HOST/app}, newRootPath: dir}\n",
		"no contents":         "directories: []\n",
	}
	if _, err := exec.LookPath("hg"); err == nil {
		all["hg include"] = one("path: a\nhg: {url: HGREPO, ref: v1}\nincludePaths: ['d/**/*']")
	}
	for name, ref := range gitRefs {
		all["git "+name] = one("path: a\ngit: {url: REPO, " + ref + "}")
	}
	for name, ref := range map[string]string{"branch": gitRefs["branch"], "tag": gitRefs["tag"], "depth of a branch": gitRefs["depth of a branch"]} {
		all["git root, "+name] = one("path: a\ngit: {url: REPO, " + ref + "}\nnewRootPath: config")
		all["git deep root, "+name] = one("path: a\ngit: {url: REPO, " + ref + "}\nnewRootPath: config/deep")
		all["git local "+name] = one("path: a\ngit: {url: PATHREPO, " + ref + "}")
		all["git dot "+name] = one("path: .\ngit: {url: REPO, " + ref + "}")
	}
	for name, filter := range filters {
		// The links of the whole lead to what is left out, which is an error to both.
		all["git "+name] = one("path: a\ngit: {url: PATHREPO, ref: origin/main}\n" + filter)
		all["http "+name] = one("path: a\nhttp: {url: WEB/a.tgz}\n" + filter)
		all["zip "+name] = one("path: a\nhttp: {url: WEB/a.zip}\n" + filter)
		all["bundle "+name] = one("path: a\nimgpkgBundle: {image: 'HOST/app:bundle'}\n" + filter)
		all["image "+name] = one("path: a\nimage: {url: HOST/app}\n" + filter)
		all["directory "+name] = one("path: a\ndirectory: {path: LOCAL/dir}\n" + filter)
	}
	return all
}

// The same configuration leads to the same files and the same lock, byte by byte, with vendir's library and
// with ours; a second sync of ours changes nothing, and one of a folder that somebody has changed mends it.
func TestAsVendir(t *testing.T) {
	w := newWorld(t)
	all := configurations()
	if len(all) < 120 {
		t.Errorf("%d configurations, expected at least 120", len(all))
	}
	store := cache.Open(t.TempDir(), 0)
	s := syncer(t, store)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir()) // where vendir works
			text := all[name]
			wantLock, wantErr := w.theirs(t, text, vendirconf.LockConfig{})
			conf, secrets, configMaps := w.config(t, text)
			dir := t.TempDir()
			lock, err := w.ours(t, s, dir, conf, secrets, configMaps, vendirconf.LockConfig{})
			if (wantErr == nil) != (err == nil) {
				t.Fatalf("vendir: %v\nours: %v", wantErr, err)
			}
			if wantErr != nil {
				if left, _ := os.ReadDir(dir); len(left) > 0 {
					t.Errorf("left %v", left)
				}
				return
			}
			want := treeOf(t, "out")
			same := func(what string, lock vendirconf.LockConfig) {
				t.Helper()
				if d := cmp.Diff(bytesOf(t, wantLock), bytesOf(t, lock)); d != "" {
					t.Errorf("%s: lock (-vendir +ours):\n%s", what, d)
				}
				if d := cmp.Diff(want, treeOf(t, filepath.Join(dir, "out"))); d != "" {
					t.Errorf("%s: files (-vendir +ours):\n%s", what, d)
				}
			}
			same("first", lock)
			before := inodes(t, filepath.Join(dir, "out"))
			if lock, err = w.ours(t, s, dir, conf, secrets, configMaps, lock); err != nil {
				t.Fatal(err)
			}
			same("second", lock)
			if d := cmp.Diff(before, inodes(t, filepath.Join(dir, "out"))); d != "" {
				t.Errorf("the second sync has changed files:\n%s", d)
			}
			if len(want) == 0 || strings.HasPrefix(name, "lazy") {
				return
			}
			spoil(t, filepath.Join(dir, conf.Directories[0].Path))
			if lock, err = w.ours(t, s, dir, conf, secrets, configMaps, lock); err != nil {
				t.Fatal(err)
			}
			same("mended", lock)
		})
	}
}

func bytesOf(t testing.TB, lock vendirconf.LockConfig) string {
	t.Helper()
	text, err := lock.AsBytes()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// inodes tells which files are the same ones.
func inodes(t testing.TB, dir string) map[string]uint64 {
	t.Helper()
	found := map[string]uint64{}
	for name := range treeOf(t, dir) {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		found[name] = info.Sys().(*syscall.Stat_t).Ino
	}
	return found
}

// spoil adds a file to a folder, changes one, and removes one.
func spoil(t testing.TB, dir string) {
	t.Helper()
	names := slices.Sorted(maps.Keys(treeOf(t, dir)))
	for i, name := range names {
		file := filepath.Join(dir, name)
		if info, err := os.Lstat(file); err != nil || !info.Mode().IsRegular() || strings.Contains(name, ".git/") {
			continue
		}
		var err error
		if i%2 == 0 {
			err = os.WriteFile(file, []byte("spoilt"), 0o600)
		} else {
			err = os.Remove(file)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "more"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}
