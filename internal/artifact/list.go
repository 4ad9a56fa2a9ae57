package artifact

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/google/go-containerregistry/pkg/name"

	"strake.dev/strake/internal/registry"
	"strake.dev/strake/stages"
)

// attached are the tags that cosign, imgpkg and registries without a list of referrers keep what belongs
// to an artifact by.
var attached = regexp.MustCompile(`^sha256-[0-9a-f]{64}(\.[a-z0-9.-]+)?$`)

// List lists the tags of a repository that name artifacts, the newest version first and what is no version
// after it, in the order of names. A range, such as “>=1.0.0 <2.0.0”, leaves only versions within it.
func List(ctx context.Context, client *registry.Client, repo name.Repository, within string) ([]string, error) {
	var limits *semver.Constraints
	if within != "" {
		var err error
		if limits, err = semver.NewConstraint(within); err != nil {
			return nil, stages.WithHint(fmt.Errorf("%q is not a range of versions: %w", within, err), "expected a range such as “1.x”, “>=1.0.0 <2.0.0” or, with pre-releases, “>0.0.0-0”")
		}
	}
	tags, err := client.List(ctx, repo)
	if err != nil {
		if registry.NotFound(err) {
			return nil, fmt.Errorf("%s%s: there is no such repository", scheme, repo.Name())
		}
		return nil, explain(scheme+repo.Name(), err)
	}
	type entry struct {
		tag     string
		version *semver.Version
	}
	var found []entry
	for _, tag := range tags {
		version, err := semver.NewVersion(tag)
		if err != nil {
			version = nil
		}
		if attached.MatchString(tag) || limits != nil && (version == nil || !limits.Check(version)) {
			continue
		}
		found = append(found, entry{tag, version})
	}
	slices.SortFunc(found, func(a, b entry) int {
		switch {
		case a.version != nil && b.version != nil && !a.version.Equal(b.version):
			return b.version.Compare(a.version)
		case (a.version == nil) != (b.version == nil):
			if a.version != nil {
				return -1
			}
			return 1
		}
		return strings.Compare(a.tag, b.tag)
	})
	list := make([]string, len(found))
	for n, e := range found {
		list[n] = e.tag
	}
	return list, nil
}
