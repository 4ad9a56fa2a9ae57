package vendir

import (
	"strings"

	"strake.dev/strake/internal/git"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// originOf tells for records of deploys where a source's content is from, without credentials. Inline
// content is from the App itself.
func originOf(s source, resolved schema.LockedSource) stages.Origin {
	switch s := s.(type) {
	case *gitSource:
		return stages.Origin{Source: git.Redacted(s.URL), Revision: resolved.Git.SHA}
	case *httpSource:
		return stages.Origin{Source: git.Redacted(s.URL), Revision: s.SHA256}
	case *imageSource:
		return imageOrigin(s.text, resolved.Image.URL)
	case *bundleSource:
		return imageOrigin(s.text, resolved.ImgpkgBundle.Image)
	case *helmSource:
		from := s.Name
		if s.Repository != nil {
			from = strings.TrimSuffix(git.Redacted(s.Repository.URL), "/") + "/" + s.Name
		}
		return stages.Origin{Source: from, Revision: resolved.HelmChart.Version}
	case *directorySource:
		return stages.Origin{Source: s.Path}
	default:
		return stages.Origin{}
	}
}

func imageOrigin(ref, resolved string) stages.Origin {
	_, digest, _ := strings.Cut(resolved, "@")
	name, _, _ := strings.Cut(ref, "@")
	return stages.Origin{Source: name, Revision: digest}
}
