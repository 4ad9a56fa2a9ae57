package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"strake.dev/strake/internal/content"
	"strake.dev/strake/internal/provenance"
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
		Args:              oneURL,
		ValidArgsFunction: upTo(1, t.completeArtifacts(&opts.remoteFlags)),
		RunE:              func(cmd *cobra.Command, args []string) error { return t.artifactInspect(cmd, args[0], &opts) },
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
		about, err := provenance.Read(ctx, deps.Registry, a.Ref)
		for _, f := range about {
			result.Provenance = append(result.Provenance, inspectedProvenance{Signed: f.Signed, Statement: f.Statement})
		}
		return orNil(result, err), err
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
	// Provenance says how the artifact came about. Who has signed it isn't verified.
	Provenance []inspectedProvenance `json:"provenance,omitempty"`
	// Lock are the digests that the artifact has of them.
	Lock []schema.LockedImage `json:"lock,omitempty"`

	onlyImages bool
}

type inspectedProvenance struct {
	Signed    bool                 `json:"signed"`
	Statement provenance.Statement `json:"statement"`
}

// print names the builder, and what it was made of.
func (p inspectedProvenance) print(w io.Writer) {
	b := p.Statement.RunDetails.Builder
	signed := "not signed"
	if p.Signed {
		signed = "signed"
	}
	fmt.Fprintf(w, "Provenance: %s %s, App %s, %s\n", render.Line(b.ID), render.Line(b.Version["strake"]), render.Line(p.Statement.BuildDefinition.ExternalParameters.App), signed)
	for _, d := range p.Statement.BuildDefinition.ResolvedDependencies {
		var digests []string
		for algorithm, digest := range d.Digest {
			digests = append(digests, algorithm+":"+digest)
		}
		slices.Sort(digests)
		fmt.Fprintf(w, "   - %s\n", render.Line(strings.Join(slices.DeleteFunc(append([]string{d.Name, d.URI}, digests...), func(s string) bool { return s == "" }), " ")))
	}
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
	for _, p := range r.Provenance {
		p.print(w)
	}
	fmt.Fprintln(w, "Manifests:")
	for _, o := range r.Objects {
		fmt.Fprintf(w, "   %s\n", render.Line(o.Name))
		for _, i := range o.Images {
			fmt.Fprintf(w, "   - %s\n", render.Line(i))
		}
	}
}
