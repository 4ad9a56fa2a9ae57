package chart_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"strake.dev/strake/plugins/vendir/chart"
)

const index = `
apiVersion: v1
entries:
  web:
  - {version: 1.9.0, urls: [web-1.9.0.tgz], digest: abc, appVersion: 1.10, created: 2020-01-01T00:00:00Z}
  - {version: 2.0.0-rc.1, urls: ["https://cdn.example.com/web-2.tgz"]}
  - {version: 1.10.0, urls: ["charts/web-1.10.0.tgz"]}
  - {version: v1.2.3, urls: ["/abs/web.tgz?x=y"]}
  - {version: latest, urls: [x]}
  - {version: 3.0.0+build.1, urls: []}
  bare: []
generated: 2020-01-01T00:00:00Z
`

func TestSelect(t *testing.T) {
	i, err := chart.ParseIndex(strings.NewReader(index))
	if err != nil {
		t.Fatal(err)
	}
	for constraint, want := range map[string]string{
		"": "3.0.0+build.1", "1.9.0": "1.9.0", "^1": "1.10.0", "1.x": "1.10.0", ">=1.2, <1.10": "1.9.0", "2.0.0-rc.1": "2.0.0-rc.1", ">=2.0.0-0 <3": "2.0.0-rc.1",
		"v1.2.3": "v1.2.3", "1.2.3": "v1.2.3", "latest": "latest", "~1.9": "1.9.0", "3.0.0": "3.0.0+build.1",
	} {
		v, err := i.Select("web", constraint)
		if err != nil || v.Version != want {
			t.Errorf("%q: got %q, %v; want %q", constraint, v.Version, err, want)
		}
	}
	for _, bad := range [][2]string{{"web", "^4"}, {"missing", ""}, {"bare", ""}, {"web", "2.0.0"}} {
		if _, err := i.Select(bad[0], bad[1]); !errors.Is(err, chart.ErrNotFound) {
			t.Errorf("%v: got %v", bad, err)
		}
	}
	if _, err := i.Select("web", "not a constraint"); err == nil || errors.Is(err, chart.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestArchive(t *testing.T) {
	repository, err := url.Parse("https://charts.example.com/team?token=t")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]string{
		"web-1.tgz":                     "https://charts.example.com/team/web-1.tgz?token=t",
		"charts/web.tgz":                "https://charts.example.com/team/charts/web.tgz?token=t",
		"/abs/web.tgz?x=y":              "https://charts.example.com/abs/web.tgz?x=y",
		"https://cdn.example.com/x.tgz": "https://cdn.example.com/x.tgz",
		"file:///etc/passwd":            "",
		"%zz":                           "",
	}
	for in, want := range tests {
		u, err := chart.Version{Version: "1", URLs: []string{in}}.Archive(repository)
		if (err != nil) != (want == "") || (err == nil && u.String() != want) {
			t.Errorf("%s: got %v, %v; want %s", in, u, err, want)
		}
	}
	if _, err := (chart.Version{}).Archive(repository); err == nil {
		t.Error("a version without address has one")
	}
}

func TestMeta(t *testing.T) {
	m, err := chart.ParseMeta([]byte("name: web\nversion: 1.2.3\nappVersion: 1.10\n"))
	if err != nil || m != (chart.Meta{Name: "web", Version: "1.2.3", AppVersion: "1.1"}) {
		t.Errorf("got %+v, %v", m, err) // 1.10 without quotes is a number, for vendir too
	}
	for _, bad := range []string{"name: web", "[", ""} {
		if _, err := chart.ParseMeta([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestExact(t *testing.T) {
	for in, want := range map[string]bool{"1.2.3": true, "v1.2.3": true, "1.2.3-rc.1+b": true, "1.2": false, "^1.2.3": false, "": false, "1.x": false} {
		if got := chart.Exact(in); got != want {
			t.Errorf("%q: got %v", in, got)
		}
	}
}

func FuzzIndex(f *testing.F) {
	f.Add(index, "^1")
	f.Add("entries: {web: [{version: 1}]}", "")
	f.Add("a: &a [*a]", "1")
	f.Fuzz(func(t *testing.T, text, constraint string) {
		i, err := chart.ParseIndex(strings.NewReader(text))
		if err != nil {
			return
		}
		if v, err := i.Select("web", constraint); err == nil {
			_, _ = v.Archive(&url.URL{Scheme: "https", Host: "h"})
		}
	})
}
