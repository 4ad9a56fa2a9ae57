package vendir_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"
	"github.com/google/go-cmp/cmp"
	regserver "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"strake.dev/strake/internal/registry"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

func lockedImage(url, tag string) schema.LockedSource {
	return schema.LockedSource{LockDirectoryContents: vendirconf.LockDirectoryContents{Image: &vendirconf.LockDirectoryContentsImage{URL: url, Tag: tag}}}
}

func TestImageLocked(t *testing.T) {
	repo := newRegistry(t) + "/team/config"
	one := push(t, repo, imageOf(t, nil, tgz(t, map[string]string{"a": "1"})), "v1.0.0", "v1.1.0", "v0.9.0")
	two := push(t, repo, imageOf(t, nil, tgz(t, map[string]string{"a": "2"})), "v1.0.0") // the tag moves
	config := "image: {url: " + repo + ":v1.0.0}"

	f := newFixture(t, "", config, nil)
	if key := f.key(); key != "image v1.0.0@"+two {
		t.Errorf("the key is %q", key)
	}
	if entry := f.mustRun(); entry.Image.URL != repo+"@"+two || f.tree()["a"] != "2" {
		t.Errorf("got %+v, %v", entry.Image, f.tree())
	}
	f = newFixture(t, "", config, nil).enforce(lockedImage(repo+"@"+one, "v1.0.0"))
	if key := f.key(); key != "image v1.0.0@"+one {
		t.Errorf("the key is %q", key)
	}
	want := lockedImage(repo+"@"+one, "v1.0.0")
	want.Path = "src"
	if d := cmp.Diff(want, f.mustRun()); d != "" || f.tree()["a"] != "1" {
		t.Errorf("%s, %v", d, f.tree())
	}

	gone := "sha256:" + strings.Repeat("0", 64)
	selection := "image: {url: " + repo + ", tagSelection: {semver: {constraints: \">=1.0.0\"}}}"
	if key := newFixture(t, "", selection, nil).key(); key != "image v1.1.0@"+one {
		t.Errorf("the key of the selection is %q", key)
	}
	for name, test := range map[string]struct {
		config string
		entry  schema.LockedSource
		want   string
	}{
		"gone":            {config, lockedImage(repo+"@"+gone, "v1.0.0"), "which the registry no longer has"},
		"other repo":      {config, lockedImage(repo+"2@"+one, "v1.0.0"), "but the lock file has " + repo + "2@" + one},
		"other tag":       {config, lockedImage(repo+"@"+one, "v0.9.0"), `has the tag "v1.0.0", but the lock file has the tag "v0.9.0"`},
		"other digest":    {"image: {url: " + repo + "@" + two + "}", lockedImage(repo+"@"+one, ""), "is " + two + ", but the lock file has " + one},
		"not selected":    {selection, lockedImage(repo+"@"+one, "v0.9.0"), `the lock file has the tag "v0.9.0"`},
		"no digest":       {config, lockedImage(repo+":v1.0.0", "v1.0.0"), "has no digest"},
		"bundle's":        {config, schema.LockedSource{LockDirectoryContents: vendirconf.LockDirectoryContents{ImgpkgBundle: &vendirconf.LockDirectoryContentsImgpkgBundle{Image: repo + "@" + one}}}, "of the kind imgpkgBundle"},
		"bundle for file": {"imgpkgBundle: {image: " + repo + ":v1.0.0}", lockedImage(repo+"@"+one, "v1.0.0"), "of the kind imgpkgBundle, but the lock file has one of the kind image"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, "", test.config, nil).enforce(test.entry)
			_, err := f.run()
			wantLockError(t, err, test.want)
			f.empty()
		})
	}
}

func TestImageErrors(t *testing.T) {
	host := newRegistry(t)
	push(t, host+"/ok", imageOf(t, nil, tgz(t, map[string]string{"a": "1"})), "v1")
	push(t, host+"/hostile", imageOf(t, nil, tgz(t, map[string]string{"ok": "1"}), tgz(t, map[string]string{"../../escaped": "x"})), "v1")
	push(t, host+"/absolute", imageOf(t, nil, tgz(t, map[string]string{"sh": "-> /bin/busybox"})), "v1")
	push(t, host+"/no-tar", imageOf(t, nil, []byte("not a tar archive")), "v1")
	push(t, host+"/nothing", imageOf(t, nil), "v1")
	for name, test := range map[string]struct{ config, want, hint string }{
		"no repository": {"image: {url: " + host + "/none}", "NAME_UNKNOWN", "check repository"},
		"no tag":        {"image: {url: " + host + "/ok:v2}", "MANIFEST_UNKNOWN", "check repository"},
		"no selection":  {"image: {url: " + host + "/ok, tagSelection: {semver: {constraints: \">=2.0.0\"}}}", "no tag is chosen", "has 1 tags"},
		"hostile":       {"image: {url: " + host + "/hostile:v1}", `layer 2 of 2: entry "../../escaped" leads out`, ""},
		"absolute link": {"image: {url: " + host + "/absolute:v1}", `entry "sh" is a symbolic link to /bin/busybox`, ""},
		"no tar":        {"image: {url: " + host + "/no-tar:v1}", "layer 1 of 1", ""},
		"nothing":       {"image: {url: " + host + "/nothing:v1}", "holds no files", ""},
		"no bundle":     {"imgpkgBundle: {image: " + host + "/ok:v1}", "is an image, and no bundle", "use “image”"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, "", test.config, nil)
			_, err := f.run()
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(stages.Hint(err), test.hint) {
				t.Errorf("got %v (%s), want %q (%s)", err, stages.Hint(err), test.want, test.hint)
			}
			f.empty()
		})
	}
}

// guarded is a registry for those who know the password; it lists what it was shown.
func guarded(t *testing.T, seen *[]string) (host string) {
	t.Helper()
	inner := regserver.New(regserver.Logger(discard()))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, ok := r.BasicAuth()
		if ok {
			*seen = append(*seen, user+":"+password)
		}
		if r.Header.Get("Authorization") == "Bearer tok" || (user == "me" && password == "pw") || r.Header.Get("User-Agent") == "go-containerregistry/setup" {
			inner.ServeHTTP(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestRegistrySecrets(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	var seen []string
	host := guarded(t, &seen)
	auth := base64.StdEncoding.EncodeToString([]byte("me:pw"))
	o := objects{
		"basic":     {"username": "me", "password": "pw"},
		"wrong":     {"username": "me", "password": "s3cret"},
		"elsewhere": {"username": "me", "password": "pw", "hostname": "other.example.com"},
		"host":      {"username": "me", "password": "pw", "hostname": "http://" + host + "/v2/"},
		"docker":    {".dockerconfigjson": `{"auths": {"https://` + host + `/v1/": {"auth": "` + auth + `"}, "x": {}}}`},
		"repo":      {".dockerconfigjson": `{"auths": {"` + host + `": {"username": "no", "password": "no"}, "` + host + `/team": {"username": "me", "password": "pw"}}}`},
		"other":     {".dockerconfigjson": `{"auths": {"` + host + `/teams": {"username": "me", "password": "pw"}}}`},
		"broken":    {".dockerconfigjson": `{"auths": "s3cret"}`},
		"bad auth":  {".dockerconfigjson": `{"auths": {"h": {"auth": "s3cret"}}}`},
		"odd":       {"usernam": "x"},
	}
	for name, want := range map[string]string{
		"basic": "NAME_UNKNOWN", "host": "NAME_UNKNOWN", "docker": "NAME_UNKNOWN", "repo": "NAME_UNKNOWN", // let in, and nothing is there
		"wrong": "401", "elsewhere": "401", "other": "401", "broken": "is not the JSON of a docker config", "bad auth": "auth of h: expected", "odd": `unknown key "usernam"`,
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, "", "image: {url: "+host+"/team/config, secretRef: {name: "+name+"}}", o)
			_, err := f.run()
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("got %v, want %q", err, want)
			}
			if want == "401" && stages.Hint(err) == "" {
				t.Error("no hint")
			}
			if early := f.check(); (early != nil) != (name == "broken" || name == "bad auth" || name == "odd") {
				t.Errorf("check: %v", early)
			}
		})
	}
	seen = nil
	f := newFixture(t, "", "image: {url: "+host+"/team/config, secretRef: {name: elsewhere}}", o)
	if _, err := f.run(); err == nil || len(seen) > 0 {
		t.Errorf("got %v, and the registry saw %v", err, seen)
	}
}

// A mirror doesn't see the credentials that are for the registry itself.
func TestMirror(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	var seen []string
	locked := guarded(t, &seen)
	mirror := newRegistry(t)
	digest := push(t, mirror+"/team/config", imageOf(t, nil, tgz(t, map[string]string{"a": "1"})), "v1")
	for _, m := range []string{mirror, locked} {
		client, err := registry.New(registry.Options{Mirrors: map[string][]string{"registry.example.com": {m}}})
		if err != nil {
			t.Fatal(err)
		}
		step, err := bindWith(client, "image: {url: \"registry.example.com/team/config:v1\", secretRef: {name: basic}}")
		if err != nil {
			t.Fatal(err)
		}
		f := fixtureOf(t, "", step, objects{"basic": {"username": "me", "password": "pw"}})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		result, err := step.Run(ctx, f.job)
		if m == locked {
			if err == nil || len(seen) > 0 {
				t.Errorf("got %v, and the mirror saw %v", err, seen)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if want := "registry.example.com/team/config@" + digest; result.Sources[0].Image.URL != want || f.tree()["a"] != "1" {
			t.Errorf("got %+v, %v", result.Sources[0].Image, f.tree())
		}
	}
}

// A connection that breaks while a layer comes is tried again; a cancelled one is not.
func TestLayerTrouble(t *testing.T) {
	inner := regserver.New(regserver.Logger(discard()))
	var breaks, hangs atomic.Bool
	began := make(chan struct{}, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
			inner.ServeHTTP(w, r)
			return
		}
		rec := httptest.NewRecorder()
		inner.ServeHTTP(rec, r)
		body := rec.Body.Bytes()
		if strings.HasPrefix(string(body), "{") { // the configuration
			_, _ = w.Write(body)
			return
		}
		w.Header().Set("Content-Length", rec.Header().Get("Content-Length"))
		if hangs.Load() || breaks.CompareAndSwap(true, false) {
			_, _ = w.Write(body[:len(body)/2])
			w.(http.Flusher).Flush()
			if hangs.Load() {
				began <- struct{}{}
				<-r.Context().Done()
				return
			}
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(body)
	}))
	defer server.Close()
	repo := strings.TrimPrefix(server.URL, "http://") + "/team/config"
	push(t, repo, imageOf(t, nil, tgz(t, map[string]string{"a": strings.Repeat("content ", 1000)})), "v1")

	breaks.Store(true)
	f := newFixture(t, "", "image: {url: "+repo+":v1}", nil)
	f.mustRun()
	if breaks.Load() {
		t.Error("nothing broke")
	}
	hangs.Store(true)
	f = newFixture(t, "", "image: {url: "+repo+":v1}", nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-began; cancel() }()
	begin := time.Now()
	if _, err := f.step.Run(ctx, f.job); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("took %v to end", took)
	}
	f.empty()
}

func chartTgz(t testing.TB, version, appVersion string) []byte {
	return tgz(t, map[string]string{
		"web/Chart.yaml": "apiVersion: v2\nname: web\nversion: " + version + "\nappVersion: \"" + appVersion + "\"\n", "web/templates/a.yaml": "a: " + version, "web/charts/sub/Chart.yaml": "name: sub",
	})
}

func lockedChart(version, appVersion string) schema.LockedSource {
	return schema.LockedSource{LockDirectoryContents: vendirconf.LockDirectoryContents{HelmChart: &vendirconf.LockDirectoryContentsHelmChart{Version: version, AppVersion: appVersion}}}
}

func TestHelmRepository(t *testing.T) {
	var elsewhere string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		elsewhere += r.Header.Get("Authorization")
		_, _ = w.Write(chartTgz(t, "1.1.0", "7"))
	}))
	defer other.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("/charts/", func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "pw" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		switch r.URL.Path {
		case "/charts/index.yaml":
			_, _ = io.WriteString(w, `entries: {web: [{version: 1.0.0, urls: [web-1.0.0.tgz]}, {version: 1.1.0, urls: ["`+other.URL+`/web.tgz"]}, {version: 2.0.0-rc.1, urls: [web-2.tgz]},
				{version: 0.1.0, urls: [hostile.tgz]}, {version: 0.2.0, urls: [web-1.0.0.tgz], digest: `+strings.Repeat("0", 64)+`}, {version: 0.3.0, urls: [index.yaml]}, {version: 0.4.0, urls: [bare.tgz]}]}`)
		case "/charts/web-1.0.0.tgz":
			_, _ = w.Write(chartTgz(t, "1.0.0", "6"))
		case "/charts/hostile.tgz":
			_, _ = w.Write(tgz(t, map[string]string{"web/../../escaped": "x"}))
		case "/charts/bare.tgz":
			_, _ = w.Write(tgz(t, map[string]string{"web/values.yaml": "x"}))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	o := objects{"login": {"username": "me", "password": "pw"}}
	config := func(version string) string {
		return "helmChart: {name: web, version: \"" + version + "\", repository: {url: " + server.URL + "/charts, secretRef: {name: login}}}"
	}
	for version, want := range map[string]string{"": "1.1.0", "1.0.0": "1.0.0", "^1": "1.1.0", "<1.1 >=1.0": "1.0.0"} {
		f := newFixture(t, "", config(version), o)
		key := f.key()
		entry := f.mustRun()
		if entry.HelmChart.Version != want || key != "helmChart "+want {
			t.Errorf("%q: got %+v, key %q", version, entry.HelmChart, key)
		}
		if f.tree()["templates/a.yaml"] != "a: "+want || f.tree()["charts/sub/Chart.yaml"] == "" {
			t.Errorf("%q: the tree is %v", version, f.tree())
		}
	}
	if elsewhere != "" {
		t.Errorf("another server got %q", elsewhere)
	}
	for version, want := range map[string]string{
		"^3": "not found in the repository", "2.0.0-rc.1": "answered 404", "0.1.0": "leads out of the folder", "0.2.0": "expected sha256:000", "0.3.0": "is no zip, tar or tgz archive", "0.4.0": "has no Chart.yaml",
	} {
		f := newFixture(t, "", config(version), o)
		if _, err := f.run(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", version, err, want)
		}
		f.empty()
	}
	f := newFixture(t, "", config("^1"), o).enforce(lockedChart("1.0.0", "6"))
	if key := f.key(); key != "helmChart 1.0.0" {
		t.Errorf("the key is %q", key)
	}
	if entry := f.mustRun(); entry.HelmChart.Version != "1.0.0" {
		t.Errorf("got %+v", entry.HelmChart)
	}
	for _, test := range []struct {
		version string
		entry   schema.LockedSource
		want    string
	}{
		{"^2", lockedChart("1.0.0", "6"), "has the version ^2, but the lock file has 1.0.0"},
		{"^1", lockedChart("1.5.0", "6"), "no longer has"},
		{"^1", lockedChart("1.0.0", "5"), "but the lock file has version 1.0.0 of the app 5"},
	} {
		_, err := newFixture(t, "", config(test.version), o).enforce(test.entry).run()
		wantLockError(t, err, test.want)
	}
}

func TestHelmRegistry(t *testing.T) {
	host := newRegistry(t)
	for _, version := range []string{"1.0.0", "1.1.0+build"} {
		img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), "application/vnd.cncf.helm.config.v1+json")
		img, err := mutate.Append(img, mutate.Addendum{Layer: static.NewLayer(chartTgz(t, version, "6"), "application/vnd.cncf.helm.chart.content.v1.tar+gzip")})
		if err != nil {
			t.Fatal(err)
		}
		push(t, host+"/charts/web", img, strings.ReplaceAll(version, "+", "_"))
	}
	push(t, host+"/charts/image", imageOf(t, nil, tgz(t, map[string]string{"a": "1"})), "1.0.0")
	config := func(name, version string) string {
		return "helmChart: {name: " + name + ", version: \"" + version + "\", repository: {url: oci://" + host + "/charts/}}"
	}
	for version, want := range map[string]string{"1.0.0": "1.0.0", "^1": "1.1.0+build", "1.1.0+build": "1.1.0+build"} {
		f := newFixture(t, "", config("web", version), nil)
		if key := f.key(); !strings.HasPrefix(key, "helmChart "+strings.ReplaceAll(want, "+", "_")+"@sha256:") {
			t.Errorf("%s: the key is %q", version, key)
		}
		if entry := f.mustRun(); entry.HelmChart.Version != want || f.tree()["templates/a.yaml"] != "a: "+want {
			t.Errorf("%s: got %+v, %v", version, entry.HelmChart, f.tree())
		}
	}
	for _, test := range [][3]string{{"web", "2.0.0", "MANIFEST_UNKNOWN"}, {"web", "^2", "not found in the repository"}, {"none", "1.0.0", "NAME_UNKNOWN"}, {"image", "1.0.0", "is no Helm chart"}} {
		if _, err := newFixture(t, "", config(test[0], test[1]), nil).run(); err == nil || !strings.Contains(err.Error(), test[2]) {
			t.Errorf("%v: got %v", test, err)
		}
	}
	f := newFixture(t, "", config("web", "^1"), nil).enforce(lockedChart("1.0.0", "6"))
	if entry := f.mustRun(); entry.HelmChart.Version != "1.0.0" {
		t.Errorf("got %+v", entry.HelmChart)
	}
	_, err := newFixture(t, "", config("web", "^1"), nil).enforce(lockedChart("1.5.0", "6")).run()
	wantLockError(t, err, "no longer has")
}
