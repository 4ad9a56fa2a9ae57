package source

import (
	"path/filepath"
	"strings"

	"strake.dev/strake/internal/git"
	"strake.dev/strake/internal/hg"
	"strake.dev/strake/plugins/vendir/chart"
	"strake.dev/strake/stages"
)

// Watches tells what a source depends on: a folder, or a reference unless that is pinned, by itself or by an
// enforced lock.
func Watches(s Source, job *stages.Job) (stages.Watched, error) {
	if dir, ok := s.(interface{ dir(*stages.Job) string }); ok {
		path, err := filepath.Abs(dir.dir(job))
		return stages.Watched{Paths: []string{path}}, err
	}
	locked, err := Locked(s, job)
	if err != nil || locked != nil {
		return stages.Watched{}, err
	}
	ref := mutable(s)
	if ref == "" {
		return stages.Watched{}, nil
	}
	return stages.Watched{References: []string{s.Kind() + " " + ref}}, nil
}

// mutable names the reference of a source, without credentials; it is empty if it always leads to the same.
func mutable(s Source) string {
	switch s := s.(type) {
	case *gitSource:
		if git.IsSHA(s.Ref) {
			return ""
		}
		return strings.TrimSpace(git.Redacted(s.URL) + " " + s.Ref)
	case *hgSource:
		if hg.IsSHA(s.Ref) {
			return ""
		}
		return redacted(s.URL) + " " + s.Ref
	case *imageSource:
		return s.mutable()
	case *bundleSource:
		return s.mutable()
	case *httpSource:
		if s.want(nil) != "" {
			return ""
		}
		return redacted(s.URL)
	case *helmSource:
		if chart.Exact(s.Version) && !s.oci() {
			return ""
		}
		return strings.TrimSpace(s.Name + " " + s.Version)
	case *releaseSource:
		return strings.TrimSpace(s.Slug + redacted(s.URL) + " " + s.Tag)
	default:
		return ""
	}
}

// mutable is the reference as it is written, or empty if it has a digest.
func (i *imageRef) mutable() string {
	if strings.Contains(i.text, "@") {
		return ""
	}
	return i.text
}
