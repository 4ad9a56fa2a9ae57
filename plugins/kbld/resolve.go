package kbld

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	kbldconfig "carvel.dev/kbld/pkg/kbld/config"
	kbldimage "carvel.dev/kbld/pkg/kbld/image"
	vendir "carvel.dev/vendir/pkg/vendir/versions/v1alpha1"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"strake.dev/strake/internal/registry"
	"strake.dev/strake/stages"
)

// A want is what a reference of the manifests asks for, by kbld's rules: an override may replace it,
// then a source may build it.
type want struct {
	// ref is the reference as the manifests have it, url what an override made of it.
	ref, url string
	// fixed is set when the result is known without asking anybody.
	fixed *image
	// source is set when it is to be built.
	source *source
	tags   *vendir.VersionSelection
	// platform picks an image of an index.
	platform *kbldconfig.PlatformSelection
}

// wantOf applies overrides and sources to a reference; the first match of each counts.
func (in *input) wantOf(ref string) (want, error) {
	w := want{ref: ref, url: ref, platform: in.platform}
	m := kbldimage.NewMatcher(ref)
	overrides := in.conf.ImageOverrides()
	if i := slices.IndexFunc(overrides, func(o kbldconfig.ImageOverride) bool { return m.Matches(o.ImageRef) }); i >= 0 {
		o := overrides[i]
		w.url, w.tags = o.NewImage, o.TagSelection
		if o.PlatformSelection != nil {
			w.platform = o.PlatformSelection
		}
		if o.Preresolved {
			// Somebody has settled on this very image.
			w.platform = nil
			return w.fix(kbldimage.NewPreresolvedImage(o.NewImage, o.ImageOrigins))
		}
		if w.tags != nil {
			return w, nil
		}
	}
	m = kbldimage.NewMatcher(w.url)
	for i := range in.sources {
		if m.Matches(in.sources[i].config.ImageRef) {
			if in.noBuild {
				err := fmt.Errorf("Building of images is disallowed (tried to build '%s' because a source was configured for it)", w.url) //nolint:staticcheck // kbld's words
				return w, stages.WithHint(err, "%s", in.noBuildHint)
			}
			w.source = &in.sources[i]
			return w, nil
		}
	}
	if d := kbldimage.MaybeNewDigestedImage(w.url); d != nil {
		return w.fix(d)
	}
	return w, nil
}

func (w want) fix(i kbldimage.Image) (want, error) {
	url, origins, err := i.URL()
	w.fixed = &image{url: url, origins: origins, action: actionKept}
	return w, err
}

// unlockable tells that the reference is taken as it is and has no digest: a preresolved override can
// say so. A lock can't hold it.
func (w want) unlockable() bool { return w.fixed != nil && !hasDigest(w.fixed.url) }

func hasDigest(url string) bool {
	_, err := name.NewDigest(url, name.WeakValidation)
	return err == nil
}

// The actions of [stages.Image].
const (
	actionBuilt    = "built"
	actionReused   = "reused"
	actionResolved = "resolved"
	actionLocked   = "locked"
	actionKept     = "kept"
)

// resolve asks the registry what a reference that isn't built is at the moment.
func (w want) resolve(ctx context.Context, reg *registry.Client) (image, error) {
	if w.fixed != nil {
		return selectPlatform(ctx, reg, *w.fixed, w.platform)
	}
	url := w.url
	if w.tags != nil {
		tag, err := selectTag(ctx, reg, url, w.tags)
		if err != nil {
			return image{}, err
		}
		url += ":" + tag
	}
	tag, err := name.NewTag(url, name.WeakValidation)
	if err != nil {
		return image{}, err
	}
	desc, err := reg.Head(ctx, tag)
	if err != nil {
		return image{}, explain(err, tag)
	}
	i := image{action: actionResolved, reason: "tag " + tag.TagStr()}
	if i.url, i.origins, err = kbldimage.NewDigestedImageFromParts(tag.Repository.String(), desc.Digest.String()).URL(); err != nil {
		return image{}, err
	}
	i.origins = append(i.origins, kbldconfig.Origin{Resolved: &kbldconfig.OriginResolved{URL: url, Tag: tag.TagStr()}})
	return selectPlatform(ctx, reg, i, w.platform)
}

// explain says what a registry's answer means for the user.
func explain(err error, ref name.Reference) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case registry.NotFound(err):
		return stages.WithHint(fmt.Errorf("there is no %s: %s", ref.Name(), answer(err)),
			"check the name and the tag; an image of your own needs a source in the kbld Config")
	case registry.Denied(err):
		return stages.WithHint(fmt.Errorf("no access to %s: %s", ref.Name(), answer(err)),
			"log in with a docker config or KBLD_REGISTRY_*; many registries answer like this also when the repository doesn't exist")
	}
	said := fmt.Errorf("can't read %s: %s", ref.Name(), answer(err))
	host := ref.Context().RegistryStr()
	switch {
	case registry.Untrusted(err):
		return stages.WithHint(said, "give the file of its CA certificate with --registry-ca-cert-path")
	case registry.PlainOnly(err):
		return stages.WithHint(said, "allow plain HTTP with --registry-plain-http %s", host)
	case registry.Limited(err):
		return stages.WithHint(said, "it limits how often it is asked: log in, or ask a mirror first with --registry-mirror %s=MIRROR", host)
	}
	return said
}

// answer is what a registry has answered, without the request: that is for us to know.
func answer(err error) string {
	var te *transport.Error
	// A registry on this machine is asked over plain HTTP then, and answers something to that too.
	if !errors.As(err, &te) || registry.Untrusted(err) {
		return registry.Reason(err)
	}
	said := []string{fmt.Sprintf("the registry answers %d %s", te.StatusCode, http.StatusText(te.StatusCode))}
	for _, d := range te.Errors {
		said = append(said, d.String())
	}
	return strings.Join(said, ", ")
}
