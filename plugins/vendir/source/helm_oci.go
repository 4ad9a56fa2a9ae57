package source

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"strake.dev/strake/internal/cache"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/plugins/vendir/chart"
	"strake.dev/strake/stages"
)

// chartLayer is the type of the layer that holds a chart: https://helm.sh/docs/topics/registries/.
const chartLayer = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"

// ociClient returns the chart's repository in a registry and the client for it.
func (s *helmSource) ociClient(ctx context.Context, job *stages.Job) (name.Repository, *registry.Client, error) {
	address := strings.TrimSuffix(strings.TrimPrefix(s.Repository.URL, ociScheme), "/") + "/" + s.Name
	repo, err := name.NewRepository(address)
	if err != nil {
		return repo, nil, fmt.Errorf("%s%s: not a valid repository", ociScheme, address)
	}
	c, err := clientFor(ctx, job, s.f.deps.Registry, s.Repository.SecretRef, repo)
	return repo, c, err
}

// ociTag finds the tag of a version. Tags can't have the “+” of versions, so Helm writes “_”.
func (s *helmSource) ociTag(ctx context.Context, repo name.Repository, c *registry.Client, version string) (name.Tag, error) {
	if chart.Exact(version) {
		return repo.Tag(strings.ReplaceAll(version, "+", "_")), nil
	}
	tags, err := c.List(ctx, repo)
	if err != nil {
		return name.Tag{}, refused(ctx, ociScheme+repo.Name(), s.secretRef(), err)
	}
	for i := range tags {
		tags[i] = strings.ReplaceAll(tags[i], "_", "+")
	}
	best, err := chart.Highest(tags, version)
	if err != nil {
		return name.Tag{}, fmt.Errorf("%s%s: %w", ociScheme, repo.Name(), err)
	}
	return repo.Tag(strings.ReplaceAll(best, "+", "_")), nil
}

func (s *helmSource) ociKey(ctx context.Context, job *stages.Job) (string, error) {
	repo, c, err := s.ociClient(ctx, job)
	if err != nil {
		return "", err
	}
	tag, err := s.ociTag(ctx, repo, c, s.Version)
	if err != nil {
		return "", err
	}
	ref, err := digestOf(ctx, c, tag)
	if err != nil {
		return "", refused(ctx, ociScheme+tag.Name(), s.secretRef(), err)
	}
	return tag.TagStr() + "@" + ref.DigestStr(), nil
}

// pull returns the chart's archive and its digest; want is the one that a lock has, or empty.
func (s *helmSource) pull(ctx context.Context, job *stages.Job, version, want string) (*os.File, string, error) {
	repo, c, err := s.ociClient(ctx, job)
	if err != nil {
		return nil, "", err
	}
	tag, err := s.ociTag(ctx, repo, c, version)
	if err != nil {
		return nil, "", err
	}
	shown := ociScheme + tag.Name()
	ref, err := digestOf(ctx, c, tag)
	if err != nil {
		return nil, "", refused(ctx, shown, s.secretRef(), err)
	}
	img := &image{client: c, cache: s.f.deps.Cache, ref: ref, shown: shown}
	if err := img.open(ctx, false); err != nil {
		return nil, "", refused(ctx, shown, s.secretRef(), err)
	}
	layer, err := chartOf(img.manifest)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", shown, err)
	}
	switch digest := layer.Digest.String(); {
	case want != "" && want != digest:
		return nil, "", &cache.MismatchError{Want: want, Got: digest}
	case layer.Size > maxChart:
		return nil, "", fmt.Errorf("%s: the chart has %d bytes, expected at most %d", shown, layer.Size, maxChart)
	}
	t := startTask(job.Events, "download", shown)
	f, err := img.blob(ctx, layer.Digest, func(n int64) { t.bytes(n, layer.Size) })
	t.end(err)
	if err != nil {
		return nil, "", refused(ctx, shown, s.secretRef(), err)
	}
	return f, layer.Digest.String(), nil
}

// chartOf finds the layer that holds the chart.
func chartOf(manifest *v1.Manifest) (v1.Descriptor, error) {
	for _, l := range manifest.Layers {
		if l.MediaType == chartLayer {
			return l, nil
		}
	}
	return v1.Descriptor{}, stages.WithHint(fmt.Errorf("is no Helm chart: no layer of the type %s", chartLayer), "charts are pushed by helm push")
}
