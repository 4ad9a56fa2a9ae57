package cli

import (
	"context"
	"io"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"strake.dev/strake/internal/artifact"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/internal/render"
)

type artifactListOptions struct {
	remoteFlags
	outputFlags
	timeoutFlag
	semver  string
	digests bool
}

func newArtifactListCommand(t *tool) *cobra.Command {
	var opts artifactListOptions
	cmd := &cobra.Command{
		Use:     "list URL [flags]",
		Aliases: []string{"ls"},
		Short:   "List the versions of an artifact",
		Long: `List the tags of a repository, the newest version first. Tags that hold
signatures and other things that belong to an artifact are left out.`,
		Example: `  strake artifact list oci://ghcr.io/org/app-config
  strake artifact list oci://ghcr.io/org/app-config --semver 1.x --digests`,
		Args:              oneURL,
		ValidArgsFunction: upTo(1, t.completeArtifacts(&opts.remoteFlags)),
		RunE:              func(cmd *cobra.Command, args []string) error { return t.artifactList(cmd, args[0], &opts) },
	}
	opts.addRegistry(cmd.Flags())
	opts.addFormat(cmd)
	opts.timeoutFlag.add(cmd)
	cmd.Flags().StringVar(&opts.semver, "semver", "", "only versions within a `RANGE`, such as “>=1.0.0 <2.0.0”; with pre-releases: “>0.0.0-0”")
	cmd.Flags().BoolVar(&opts.digests, "digests", false, "show what each tag names")
	return cmd
}

func (t *tool) artifactList(cmd *cobra.Command, url string, o *artifactListOptions) error {
	return t.conclude(cmd.Context(), "artifact list", &o.outputFlags, func(*render.JSON) (printable, error) {
		ctx, cancel := o.limit(cmd.Context())
		defer cancel()
		repo, err := artifact.ParseRepository(url)
		if err != nil {
			return nil, err
		}
		deps, err := o.deps(t.userAgent())
		if err != nil {
			return nil, err
		}
		tags, err := artifact.List(ctx, deps.Registry, repo, o.semver)
		if err != nil {
			return nil, err
		}
		result := &artifactListResult{Versions: make([]artifactVersion, len(tags)), digests: o.digests}
		for n, tag := range tags {
			result.Versions[n] = artifactVersion{Version: tag, URL: artifact.URL(repo.Tag(tag))}
		}
		if o.digests {
			err = result.resolve(ctx, deps.Registry, repo)
		}
		return result, err
	})
}

// resolve finds out what the tags name.
func (r *artifactListResult) resolve(ctx context.Context, client *registry.Client, repo name.Repository) error {
	group, ctx := errgroup.WithContext(ctx)
	const atOnce = 16
	group.SetLimit(atOnce)
	for n := range r.Versions {
		group.Go(func() error {
			digest, err := artifact.Resolve(ctx, client, repo.Tag(r.Versions[n].Version))
			if err == nil {
				r.Versions[n].Digest = digest.DigestStr()
			}
			return err
		})
	}
	return group.Wait()
}

// An artifactListResult lists versions.
type artifactListResult struct {
	Versions []artifactVersion `json:"versions"`

	digests bool
}

type artifactVersion struct {
	Version string `json:"version"`
	URL     string `json:"url"`
	Digest  string `json:"digest,omitempty"`
}

func (r *artifactListResult) print(w io.Writer) {
	header := []string{"VERSION", "URL"}
	if r.digests {
		header = append(header, "DIGEST")
	}
	var rows [][]string
	for _, v := range r.Versions {
		row := []string{v.Version, v.URL, v.Digest}
		rows = append(rows, row[:len(header)])
	}
	table(w, header, rows)
}
