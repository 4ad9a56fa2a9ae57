package vendir

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

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
	c, err := clientFor(ctx, job, s.registry, s.Repository.SecretRef, repo)
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
	desc, err := c.Head(ctx, tag)
	if err != nil {
		return "", refused(ctx, ociScheme+tag.Name(), s.secretRef(), err)
	}
	return tag.TagStr() + "@" + desc.Digest.String(), nil
}

// pull gets the chart's archive from a registry into f.
func (s *helmSource) pull(ctx context.Context, job *stages.Job, f *os.File, version string) error {
	repo, c, err := s.ociClient(ctx, job)
	if err != nil {
		return err
	}
	tag, err := s.ociTag(ctx, repo, c, version)
	if err != nil {
		return err
	}
	shown := ociScheme + tag.Name()
	desc, err := c.Get(ctx, tag)
	if err != nil {
		return refused(ctx, shown, s.secretRef(), err)
	}
	layer, err := chartOf(desc.Image)
	if err != nil {
		return fmt.Errorf("%s: %w", shown, err)
	}
	size, err := layer.Size()
	if err != nil || size > maxChart {
		return fmt.Errorf("%s: the chart has %d bytes, expected at most %d", shown, size, maxChart)
	}
	t := startTask(job.Events, "download", shown)
	_, err = blob(ctx, f, layer, func(n int64) { t.bytes(n, size) })
	t.end(err)
	if err != nil {
		return refused(ctx, shown, s.secretRef(), err)
	}
	stages.Log(job.Events, fmt.Sprintf("%s: %s", shown, desc.Digest))
	return nil
}

// chartOf finds the layer that holds the chart.
func chartOf(image func() (v1.Image, error)) (v1.Layer, error) {
	img, err := image()
	if err != nil {
		return nil, err
	}
	layers, err := img.Layers()
	if err != nil {
		return nil, err
	}
	for _, l := range layers {
		if mt, err := l.MediaType(); err == nil && mt == chartLayer {
			return l, nil
		}
	}
	return nil, stages.WithHint(fmt.Errorf("is no Helm chart: no layer of the type %s", chartLayer), "charts are pushed by helm push")
}
