package provenance

import (
	"strings"

	"strake.dev/strake/schema"
)

// Source is the dependency that a fetched source is. The lock knows no URL of git repositories and web
// servers; uri, if not empty, is that of the source.
func Source(s schema.LockedSource, uri string) Dependency {
	d := Dependency{Name: s.Path, URI: uri}
	switch {
	case s.Git != nil:
		d.Digest = map[string]string{"gitCommit": s.Git.SHA}
	case s.Image != nil:
		d = Image(s.Path, s.Image.URL)
	case s.ImgpkgBundle != nil:
		d = Image(s.Path, s.ImgpkgBundle.Image)
	case s.HelmChart != nil:
		d.Name += ": chart version " + s.HelmChart.Version
	}
	if sum, ok := strings.CutPrefix(s.Digest, "sha256:"); ok {
		d.Digest = map[string]string{"sha256": sum}
	}
	return d
}
