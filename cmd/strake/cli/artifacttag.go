package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"strake.dev/strake/internal/artifact"
	"strake.dev/strake/internal/render"
)

type artifactTagOptions struct {
	remoteFlags
	outputFlags
	timeoutFlag
	keep bool
}

func newArtifactTagCommand(t *tool) *cobra.Command {
	var opts artifactTagOptions
	cmd := &cobra.Command{
		Use:     "tag URL TAG... [flags]",
		Short:   "Give an artifact further tags",
		Example: "  strake artifact tag oci://ghcr.io/org/app-config:v1.0.0 latest stable",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usagef(cmd, "expected the URL of an artifact and a tag, found %d arguments", len(args))
			}
			return nil
		},
		ValidArgsFunction: upTo(1, t.completeArtifacts(&opts.remoteFlags)),
		RunE:              func(cmd *cobra.Command, args []string) error { return t.artifactTag(cmd, args[0], args[1:], &opts) },
	}
	opts.addRegistry(cmd.Flags())
	opts.addFormat(cmd)
	opts.timeoutFlag.add(cmd)
	cmd.Flags().BoolVar(&opts.keep, "no-overwrite", false, "fail, and make no tag, if one names something else already")
	return cmd
}

func (t *tool) artifactTag(cmd *cobra.Command, url string, tags []string, o *artifactTagOptions) error {
	return t.conclude(cmd.Context(), "artifact tag", &o.outputFlags, func(*render.JSON) (printable, error) {
		ctx, cancel := o.limit(cmd.Context())
		defer cancel()
		ref, err := artifact.ParseURL(url)
		if err != nil {
			return nil, err
		}
		deps, err := o.deps(t.userAgent())
		if err != nil {
			return nil, err
		}
		digest, err := artifact.Tag(ctx, deps.Registry, ref, o.keep, tags...)
		if err != nil {
			return nil, err
		}
		return &artifactTagResult{Digest: digest.Name(), Tags: tags}, nil
	})
}

// An artifactTagResult is what was tagged.
type artifactTagResult struct {
	Digest string   `json:"digest"`
	Tags   []string `json:"tags"`
}

func (r *artifactTagResult) print(w io.Writer) {
	fmt.Fprintf(w, "tagged %s as %s\n", r.Digest, strings.Join(r.Tags, ", "))
}
