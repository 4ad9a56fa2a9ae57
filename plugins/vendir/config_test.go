package vendir_test

import (
	"maps"
	"reflect"
	"strings"
	"testing"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"
	kappctrl "github.com/vmware-tanzu/carvel-kapp-controller/pkg/apis/kappctrl/v1alpha1"

	"strake.dev/strake/plugins/vendir"
	"strake.dev/strake/plugins/vendir/source"
	"strake.dev/strake/stages"
)

func TestBadConfigurations(t *testing.T) {
	tests := map[string]struct {
		config string
		want   []string
	}{
		"nothing":            {"path: src", []string{"names no source: expected one of inline, image"}},
		"two":                {"git: {url: https://h/a, ref: main}\nhttp: {url: https://h/a}", []string{"names 2 sources (git, http)"}},
		"null":               {"git:", []string{"app.yaml:1:", "git: is empty"}},
		"null http":          {"http:", []string{"http: is empty"}},
		"null image":         {"image:", []string{"image: is empty"}},
		"null bundle":        {"imgpkgBundle:", []string{"imgpkgBundle: is empty"}},
		"null inline":        {"inline:", []string{"inline: is empty"}},
		"null chart":         {"helmChart:", []string{"helmChart: is empty"}},
		"null directory":     {"directory:", []string{"directory: is empty"}},
		"unknown":            {"git: {url: https://h/a, reff: main}", []string{"git.reff: unknown field", "did you mean ref?"}},
		"path out":           {"path: ../x\ngit: {url: https://h/a, ref: main}", []string{"path: expected a relative path"}},
		"path absolute":      {"path: /x\ngit: {url: https://h/a, ref: main}", []string{"path: expected a relative path"}},
		"git no url":         {"git: {ref: main}", []string{"git.url: missing"}},
		"git no ref":         {"git: {url: https://h/a}", []string{"git: expected ref or refSelection", "origin/main"}},
		"git option":         {"git: {url: --upload-pack=x, ref: main}", []string{"git.url: the address begins with “-”"}},
		"git ext":            {"git: {url: \"ext::sh -c x\", ref: main}", []string{"git.url", "program as transport"}},
		"git ref option":     {"git: {url: https://h/a, ref: -f}", []string{"git.ref", "begins with “-”"}},
		"git subpath":        {"git: {url: https://h/a, ref: main, subPath: ../../etc}", []string{"git.subPath: expected a relative path"}},
		"git selection":      {"git: {url: https://h/a, refSelection: {}}", []string{"git.refSelection: expected semver"}},
		"git constraints":    {"git: {url: https://h/a, refSelection: {semver: {constraints: \"^1.0.0\"}}}", []string{"git.refSelection.semver.constraints", "not a valid constraint"}},
		"git ref number":     {"git: {url: https://h/a, ref: 1.10}", []string{"git.ref: expected a string", `"1.10"`}},
		"image bad":          {"image: {url: \"Not An Image\"}", []string{"image.url", "not a valid image reference"}},
		"image selection":    {"image: {url: \"h/a:v1\", tagSelection: {semver: {}}}", []string{"image.url", "leave out tag and digest"}},
		"bundle bad":         {"imgpkgBundle: {image: \"h/a@sha256:12\"}", []string{"imgpkgBundle.image"}},
		"http scheme":        {"http: {url: ftp://h/a}", []string{"http.url", "http or https"}},
		"http host":          {"http: {url: \"https:///a\"}", []string{"http.url", "with a host"}},
		"http no url":        {"http: {url: \"%zz\"}", []string{"http.url: expected a URL"}},
		"http sum":           {"http: {url: https://h/a, sha256: abc}", []string{"http.sha256: expected a SHA-256"}},
		"http several":       {"http: {url: ftp://h/a, sha256: abc, subPath: /etc}", []string{"http.url", "http.sha256", "http.subPath"}},
		"inline out":         {"inline: {paths: {../x: a}}", []string{"inline.paths.../x", "relative"}},
		"inline empty":       {"inline: {}", []string{"inline: is empty"}},
		"inline from":        {"inline: {pathsFrom: [{}]}", []string{"pathsFrom[0]: expected one of secretRef"}},
		"inline from both":   {"inline: {pathsFrom: [{secretRef: {name: a}, configMapRef: {name: b}}]}", []string{"pathsFrom[0]: expected one of secretRef"}},
		"inline from out":    {"inline: {pathsFrom: [{secretRef: {name: a, directoryPath: ../x}}]}", []string{"directoryPath"}},
		"inline from null":   {"inline: {pathsFrom: [{secretRef: }]}", []string{"secretRef: is empty"}},
		"chart no repo":      {"helmChart: {name: a}", []string{"helmChart: expected repository"}},
		"chart null repo":    {"helmChart: {name: a, repository: }", []string{"repository: is empty"}},
		"chart oci version":  {"helmChart: {name: a, repository: {url: oci://h/a}}", []string{"expected version"}},
		"chart version":      {"helmChart: {name: a, version: nope, repository: {url: https://h}}", []string{"helmChart.version"}},
		"chart scheme":       {"helmChart: {name: a, repository: {url: s3://h}}", []string{"repository.url"}},
		"chart bad oci":      {"helmChart: {name: a, version: 1.0.0, repository: {url: \"oci://H H\"}}", []string{"repository.url"}},
		"chart name":         {"helmChart: {name: ../a, repository: {url: https://h}}", []string{"helmChart.name"}},
		"directory no path":  {"directory: {}", []string{"directory.path: missing"}},
		"directory patterns": {"directory: {path: ., includePaths: [\"[\"], excludePaths: [\"\"]}", []string{"includePaths[0]", "excludePaths[0]"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := bind(test.config)
			if err == nil {
				t.Fatal("was accepted")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want %q in it", err, want)
				}
			}
		})
	}
}

func TestPlugin(t *testing.T) {
	p := vendir.Plugin(source.Deps{})
	if p.Stage != stages.Fetch || p.Name != "vendir" || !p.Whole || len(p.Keys) != len(source.Kinds())+1 {
		t.Errorf("got %+v", p)
	}
	if _, err := p.New(nil); err == nil {
		t.Error("nothing was accepted as configuration")
	}
	stages.NewRegistry(p)
	step, err := bind("path: src/a\ninline: {paths: {a: b}}")
	if err != nil {
		t.Fatal(err)
	}
	if got := step.(stages.Placer).Folder(); got != "src/a" {
		t.Errorf("the folder is %q", got)
	}
}

// The fields are those of kapp-controller and of vendir, by name and type. What they say of the folder that
// vendir replaces has no place in an App.
func TestFieldsOfCarvel(t *testing.T) {
	own := fieldsOf(reflect.TypeFor[source.Config](), "")
	theirs := fieldsOf(reflect.TypeFor[kappctrl.AppFetch](), "")
	maps.Copy(theirs, fieldsOf(reflect.TypeFor[vendirconf.DirectoryContents](), ""))
	for _, name := range []string{".lazy bool", ".ignorePaths string", ".permissions uint32"} {
		if !theirs[name] {
			t.Errorf("vendir no longer has %s", name)
		}
		delete(theirs, name)
	}
	for name := range theirs {
		if !own[name] {
			t.Errorf("%s is missing", name)
		}
		delete(own, name)
	}
	for name := range own {
		if !strings.HasPrefix(name, ".directory.") && name != ".githubRelease.http.subPath string" {
			t.Errorf("%s is neither kapp-controller's nor vendir's", name)
		}
	}
}

func fieldsOf(typ reflect.Type, path string) map[string]bool {
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice || typ.Kind() == reflect.Map {
		typ = typ.Elem()
	}
	names := map[string]bool{path + " " + typ.Kind().String(): true}
	if typ.Kind() != reflect.Struct {
		return names
	}
	for f := range typ.Fields() {
		if !f.IsExported() {
			continue
		}
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		below := path + "." + key
		if f.Anonymous && key == "" {
			below = path
		}
		for name := range fieldsOf(f.Type, below) {
			names[name] = true
		}
	}
	return names
}
