package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"strake.dev/strake/internal/artifact"
	"strake.dev/strake/internal/content"
	"strake.dev/strake/internal/render"
	"strake.dev/strake/schema"
)

type artifactCopyOptions struct {
	inputFlags
	remoteFlags
	outputFlags
	timeoutFlag
	images bool
}

func newArtifactCopyCommand(t *tool) *cobra.Command {
	var opts artifactCopyOptions
	cmd := &cobra.Command{
		Use:   "copy FROM TO [flags]",
		Short: "Copy an artifact with all that belongs to it",
		Long: `Copy an artifact with its signatures, and everything else that refers to it, from
and to a registry (oci://HOST/REPOSITORY:TAG), an OCI layout (layout:FOLDER) or an
archive of one (archive:FILE). With --images, the images that it names are copied
as well, into the artifact's repository, each with its signatures. Nothing of it
is changed, so digests and signatures stay as they are; commands that deploy find
the images there with --relocated.`,
		Example: `  strake artifact copy oci://ghcr.io/org/app-config:v1.0.0 oci://registry.example.com/app-config --images
  strake artifact copy oci://ghcr.io/org/app-config:v1.0.0 archive:app-config.tar --images
  strake artifact copy archive:app-config.tar oci://registry.example.com/app-config`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef(cmd, "expected where to copy from and to, found %d arguments", len(args))
			}
			return nil
		},
		ValidArgsFunction: upTo(1, t.completeArtifacts(&opts.remoteFlags)),
		RunE:              func(cmd *cobra.Command, args []string) error { return t.artifactCopy(cmd, args[0], args[1], &opts) },
	}
	opts.addPull(cmd)
	opts.addRegistry(cmd.Flags())
	opts.addFormat(cmd)
	opts.timeoutFlag.add(cmd)
	cmd.Flags().BoolVar(&opts.images, "images", false, "copy the images that the artifact names")
	opts.addImagePaths(cmd)
	return cmd
}

func (t *tool) artifactCopy(cmd *cobra.Command, from, to string, o *artifactCopyOptions) error {
	return t.conclude(cmd.Context(), "artifact copy", &o.outputFlags, func(*render.JSON) (printable, error) {
		ctx, cancel := o.limit(cmd.Context())
		defer cancel()
		source, err := artifact.ParseLocation(from)
		if err != nil {
			return nil, err
		}
		target, err := artifact.ParseLocation(to)
		if err != nil {
			return nil, err
		}
		deps, err := o.deps(t.userAgent())
		if err != nil {
			return nil, err
		}
		options := artifact.CopyOptions{Images: o.images, Say: say(t.err)}
		if options.Pull, err = o.options(ctx, deps.Registry); err != nil {
			return nil, err
		}
		paths, err := o.paths()
		if err != nil {
			return nil, err
		}
		options.ImageRefs = func(ctx context.Context, a *artifact.Artifact) ([]string, error) { return t.imagesOf(ctx, a, paths) }
		copied, err := artifact.Copy(ctx, deps.Registry, source, target, options)
		if err != nil {
			return nil, err
		}
		return &artifactCopyResult{Copied: copied, From: from, To: to}, nil
	})
}

// imagesOf are the images that an artifact names: its objects, and its lock.
func (t *tool) imagesOf(ctx context.Context, a *artifact.Artifact, paths []content.ImagePath) ([]string, error) {
	streams, err := a.Manifests(ctx, t.warn)
	if err != nil {
		return nil, err
	}
	set, err := content.Load(ctx, content.Inputs{Streams: streams})
	if err != nil {
		return nil, err
	}
	refs := set.Images(paths)
	named := map[string]bool{}
	for _, ref := range refs {
		named[ref] = true
	}
	for _, i := range a.Images {
		if !named[i.Annotations[schema.AnnotationImageID]] && !named[i.Image] {
			refs = append(refs, i.Image)
		}
	}
	return refs, nil
}

// An artifactCopyResult is what was copied.
type artifactCopyResult struct {
	artifact.Copied
	From string `json:"from"`
	To   string `json:"to"`
}

func (r *artifactCopyResult) print(w io.Writer) {
	fmt.Fprintf(w, "copied %s to %s: %s, %d images, %d tags with signatures, %d referrers\n", r.From, r.To, r.Digest, r.Images, r.Signatures, r.Referrers)
}
