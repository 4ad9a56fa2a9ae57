package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"strake.dev/strake/internal/content"
	"strake.dev/strake/internal/render"
	"strake.dev/strake/schema"
)

type artifactInspectOptions struct {
	inputFlags
	remoteFlags
	outputFlags
	timeoutFlag
	images bool
}

func newArtifactInspectCommand(t *tool) *cobra.Command {
	var opts artifactInspectOptions
	cmd := &cobra.Command{
		Use:   "inspect URL [flags]",
		Short: "Show what an artifact is, and the objects and images in it",
		Example: `  strake artifact inspect oci://ghcr.io/org/app-config:v1.0.0
  strake artifact inspect oci://ghcr.io/org/app-config:v1.0.0 --container-images`,
		Args: oneURL,
		RunE: func(cmd *cobra.Command, args []string) error { return t.artifactInspect(cmd, args[0], &opts) },
	}
	opts.addPull(cmd)
	opts.addVerifyImages(cmd)
	opts.addRegistry(cmd.Flags())
	opts.addFormat(cmd)
	opts.timeoutFlag.add(cmd)
	cmd.Flags().BoolVar(&opts.images, "container-images", false, "list only the images")
	opts.addImagePaths(cmd)
	return cmd
}

func (t *tool) artifactInspect(cmd *cobra.Command, url string, o *artifactInspectOptions) error {
	return t.conclude(cmd.Context(), "artifact inspect", &o.outputFlags, func(*render.JSON) (printable, error) {
		ctx, cancel := o.limit(cmd.Context())
		defer cancel()
		deps, err := o.deps(t.userAgent())
		if err != nil {
			return nil, err
		}
		paths, err := o.paths()
		if err != nil {
			return nil, err
		}
		o.artifacts = []string{url}
		in, err := o.load(ctx, t, deps.Registry, func(string) {})
		if err != nil {
			return nil, err
		}
		a := in.artifacts[0]
		verified := len(o.verify.keys) > 0 || o.verify.policy != ""
		result := &artifactInspectResult{
			Verified: verified, ImagesVerified: verified && o.verifyImages,
			artifactFacts: factsOf(a), Objects: []inspectedObject{}, Images: in.Images(paths), Lock: a.Images, onlyImages: o.images,
		}
		for _, object := range in.Objects {
			result.Objects = append(result.Objects, inspectedObject{Name: content.Name(object), Images: content.Images(object, paths)})
		}
		return result, nil
	})
}

// An artifactInspectResult is what is in an artifact.
type artifactInspectResult struct {
	artifactFacts
	Objects []inspectedObject `json:"objects"`
	// Verified tells whether the artifact was verified, and ImagesVerified whether its images were.
	Verified       bool `json:"verified"`
	ImagesVerified bool `json:"imagesVerified"`
	// Images are those of all objects, sorted.
	Images []string `json:"images"`
	// Lock are the digests that the artifact has of them.
	Lock []schema.LockedImage `json:"lock,omitempty"`

	onlyImages bool
}

type inspectedObject struct {
	Name   string   `json:"name"`
	Images []string `json:"images,omitempty"`
}

func (r *artifactInspectResult) print(w io.Writer) {
	if r.onlyImages {
		for _, i := range r.Images {
			fmt.Fprintln(w, render.Line(i))
		}
		return
	}
	r.artifactFacts.print(w)
	if r.Verified {
		what := "the artifact"
		if r.ImagesVerified {
			what += " and its images"
		}
		fmt.Fprintf(w, "Verified: %s\n", what)
	}
	fmt.Fprintln(w, "Manifests:")
	for _, o := range r.Objects {
		fmt.Fprintf(w, "   %s\n", render.Line(o.Name))
		for _, i := range o.Images {
			fmt.Fprintf(w, "   - %s\n", render.Line(i))
		}
	}
}
