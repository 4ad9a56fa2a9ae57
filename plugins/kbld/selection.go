package kbld

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	kbldconfig "carvel.dev/kbld/pkg/kbld/config"
	kbldimage "carvel.dev/kbld/pkg/kbld/image"
	"carvel.dev/vendir/pkg/vendir/versions"
	vendir "carvel.dev/vendir/pkg/vendir/versions/v1alpha1"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"strake.dev/strake/internal/registry"
)

// selectTag picks the highest of a repository's tags that fits.
func selectTag(ctx context.Context, reg *registry.Client, url string, sel *vendir.VersionSelection) (string, error) {
	if sel.Semver == nil {
		return "", errors.New("tagSelection: expected semver")
	}
	repo, err := name.NewRepository(url, name.WeakValidation)
	if err != nil {
		return "", err
	}
	tags, err := reg.List(ctx, repo)
	if err != nil {
		return "", explain(err, repo.Tag("latest"))
	}
	var best string
	err = safely("selecting a tag of "+repo.Name(), func() error {
		fit := versions.NewRelaxedSemversNoErr(tags).FilterPrereleases(sel.Semver.Prereleases)
		if sel.Semver.Constraints != "" {
			if fit, err = fit.FilterConstraints(sel.Semver.Constraints); err != nil {
				return fmt.Errorf("constraints %q: %w", sel.Semver.Constraints, err)
			}
		}
		highest, found := fit.Highest()
		if !found {
			return fmt.Errorf("none of the %d tags of %s fits constraints %q", len(tags), repo.Name(), sel.Semver.Constraints)
		}
		best = highest
		return nil
	})
	return best, err
}

// selectPlatform replaces an index by its one image for a platform; what isn't an index stays.
func selectPlatform(ctx context.Context, reg *registry.Client, i image, sel *kbldconfig.PlatformSelection) (image, error) {
	if sel == nil {
		return i, nil
	}
	ref, err := name.NewDigest(i.url)
	if err != nil {
		return i, err
	}
	desc, err := reg.Get(ctx, ref)
	if err != nil {
		return i, explain(err, ref)
	}
	if !desc.MediaType.IsIndex() {
		return i, nil
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(desc.Manifest))
	if err != nil {
		return i, fmt.Errorf("index %s: %w", i.url, err)
	}
	var found *v1.Descriptor
	for _, m := range index.Manifests {
		if m.Platform == nil || !kbldimage.MatchesPlatformSelection(*m.Platform, *sel) {
			continue
		}
		if found != nil {
			return i, fmt.Errorf("index %s has more than one image for %s/%s", i.url, sel.OS, sel.Architecture)
		}
		found = &m
	}
	if found == nil {
		return i, fmt.Errorf("index %s has no image for %s/%s", i.url, sel.OS, sel.Architecture)
	}
	origin := kbldconfig.Origin{PlatformSelected: &kbldconfig.OriginPlatformSelected{
		Index: i.url, OS: sel.OS, Architecture: sel.Architecture, Variant: sel.Variant,
	}}
	i.url = ref.Context().Digest(found.Digest.String()).Name()
	i.origins = append(slices.Clip(i.origins), origin)
	return i, nil
}
