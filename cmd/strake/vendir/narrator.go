package vendir

import (
	"fmt"
	"sync"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"
	"carvel.dev/vendir/pkg/vendir/fetch/git"
	"carvel.dev/vendir/pkg/vendir/fetch/githubrelease"
	"carvel.dev/vendir/pkg/vendir/fetch/helmchart"
	"carvel.dev/vendir/pkg/vendir/fetch/hg"
	"carvel.dev/vendir/pkg/vendir/fetch/image"
	"carvel.dev/vendir/pkg/vendir/fetch/imgpkgbundle"
	"github.com/cppforlife/go-cli-ui/ui"

	stragit "strake.dev/strake/internal/git"
	"strake.dev/strake/stages"
)

// A narrator tells in vendir's words what is going on.
type narrator struct {
	mu sync.Mutex
	ui ui.UI
}

// announce tells that a content is fetched, or isn't because it is lazy.
func (n *narrator) announce(dir, path string, c vendirconf.DirectoryContents, skipped bool) {
	if skipped {
		n.ui.PrintLinef("Skipping fetch: %s + %s (flagged as lazy, config has not changed since last sync)", dir, path)
		return
	}
	n.ui.PrintLinef("Fetching: %s + %s (%s)", dir, path, describe(c))
}

// describe names a content's source as vendir does, but without credentials.
func describe(c vendirconf.DirectoryContents) string {
	switch {
	case c.Git != nil:
		own := *c.Git
		own.URL = stragit.Redacted(own.URL)
		return "git from " + git.NewSync(own, nil, nil, nil).Desc()
	case c.Hg != nil:
		own := *c.Hg
		own.URL = stragit.Redacted(own.URL)
		return "hg from " + hg.NewSync(own, nil, nil, nil).Desc()
	case c.HTTP != nil:
		return "http from " + stragit.Redacted(c.HTTP.URL)
	case c.Image != nil:
		return "image from " + image.NewSync(*c.Image, nil, nil).Desc()
	case c.ImgpkgBundle != nil:
		return "imgpkgBundle from " + imgpkgbundle.NewSync(*c.ImgpkgBundle, nil, nil).Desc()
	case c.GithubRelease != nil:
		own := *c.GithubRelease
		own.SecretRef = nil // which it would look for
		if s, err := githubrelease.NewSync(own, "", nil); err == nil {
			desc, _ := s.Desc()
			return "github release " + desc
		}
		return "github release"
	case c.HelmChart != nil:
		return "helm chart from " + helmchart.NewSync(*c.HelmChart, "", nil).Desc()
	case c.Manual != nil:
		return "manual"
	case c.Directory != nil:
		return "directory"
	default:
		return "inline"
	}
}

// Observe prints warnings. What vendir prints of the git commands that it runs has nothing to stand for here.
func (n *narrator) Observe(e stages.Event) {
	if e.Type != stages.Warning {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ui.ErrorLinef("%s", fmt.Sprintf("Warning: %s", e.Message))
}
