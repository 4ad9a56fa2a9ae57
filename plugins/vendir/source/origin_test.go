package source

import (
	"testing"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"

	"carvel.dev/vendir/pkg/vendir/config"
)

func TestOriginOf(t *testing.T) {
	const digest = "sha256:0000000000000000000000000000000000000000000000000000000000000001"
	for name, c := range map[string]struct {
		config   Config
		resolved schema.LockedSource
		want     stages.Origin
	}{
		"git": {
			Config{Git: &Git{URL: "https://user:secret@example.com/repo"}},
			schema.LockedSource{LockDirectoryContents: config.LockDirectoryContents{Git: &config.LockDirectoryContentsGit{SHA: "abc"}}},
			stages.Origin{Source: "https://example.com/repo", Revision: "abc"},
		},
		"http": {
			Config{HTTP: &HTTP{URL: "https://user:secret@example.com/a.tgz", SHA256: "def"}},
			schema.LockedSource{Digest: "sha256:def"},
			stages.Origin{Source: "https://example.com/a.tgz", Revision: "def"},
		},
		"image": {
			Config{Image: &Image{URL: "r.io/a:1"}},
			schema.LockedSource{LockDirectoryContents: config.LockDirectoryContents{Image: &config.LockDirectoryContentsImage{URL: "r.io/a@" + digest}}},
			stages.Origin{Source: "r.io/a:1", Revision: digest},
		},
		"bundle": {
			Config{ImgpkgBundle: &ImgpkgBundle{Image: "r.io/a@" + digest}},
			schema.LockedSource{LockDirectoryContents: config.LockDirectoryContents{ImgpkgBundle: &config.LockDirectoryContentsImgpkgBundle{Image: "r.io/a@" + digest}}},
			stages.Origin{Source: "r.io/a", Revision: digest},
		},
		"chart": {
			Config{HelmChart: &HelmChart{Name: "web", Repository: &HelmChartRepo{URL: "https://charts.example.com/"}}},
			schema.LockedSource{LockDirectoryContents: config.LockDirectoryContents{HelmChart: &config.LockDirectoryContentsHelmChart{Version: "1.2.3"}}},
			stages.Origin{Source: "https://charts.example.com/web", Revision: "1.2.3"},
		},
		"folder": {Config{Directory: &Directory{Path: "config"}}, schema.LockedSource{}, stages.Origin{Source: "config"}},
		"inline": {Config{Inline: &Inline{}}, schema.LockedSource{}, stages.Origin{}},
	} {
		if got := NewFetcher(Deps{}).Source(c.config).Origin(c.resolved); !got.Equal(c.want) {
			t.Errorf("%s: expected %+v, found %+v", name, c.want, got)
		}
	}
}
