package cli

import (
	"context"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"

	"strake.dev/strake/internal/artifact"
	"strake.dev/strake/internal/content"
	"strake.dev/strake/internal/cosign"
	"strake.dev/strake/internal/provenance"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/internal/render"
	"strake.dev/strake/internal/signing"
	"strake.dev/strake/pipeline"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// signer reads the key to sign with; without one it is nil.
func (o *artifactPushOptions) signer(t *tool) (*signing.Signer, error) {
	if o.signKey == "" {
		return nil, nil
	}
	return signing.LoadSigner(o.signKey, signing.Password(t.lookupEnv))
}

// attach returns what puts beside the artifact what belongs to it: a signature, and the statement of where it
// comes from. It is nil if nothing does.
func (o *artifactPushOptions) attach(t *tool, client *registry.Client, signer *signing.Signer, p artifact.Package) func(context.Context, name.Digest) error {
	if signer == nil && !o.provenance {
		return nil
	}
	return func(ctx context.Context, digest name.Digest) error {
		if signer != nil {
			if _, err := cosign.Sign(ctx, client, digest, signer, cosign.Options{Form: cosign.Both}); err != nil {
				return err
			}
		}
		_, err := provenance.Attach(ctx, client, digest, provenance.New(o.facts(t, p)), signer)
		return err
	}
}

// facts are what is known of where the artifact comes from.
func (o *artifactPushOptions) facts(t *tool, p artifact.Package) provenance.Inputs {
	in := provenance.Inputs{Strake: t.version(), Date: p.Date, Plugins: map[string]string{}}
	for _, i := range p.Images {
		in.Images = append(in.Images, provenance.Image(i.Annotations[schema.AnnotationImageID], i.Image))
	}
	if o.rendered == nil {
		if p.Source != "" || p.Revision != "" {
			in.Sources = append(in.Sources, sourceOf(p))
		}
		return in
	}
	in.App = o.rendered.plan.App.Namespace + "/" + o.rendered.plan.App.Name
	for _, s := range o.rendered.plan.Steps {
		in.Stages = append(in.Stages, string(s.Stage)+" "+s.Plugin.Name)
		in.Plugins[s.Plugin.Name] = s.Plugin.Version
	}
	for _, s := range o.rendered.report.Record.Steps {
		for _, source := range s.Sources {
			in.Sources = append(in.Sources, provenance.Source(source, s.Origin.Source))
		}
	}
	return in
}

// sourceOf is the source that the user names. Its revision is a commit in the form of Flux, NAME@sha1:COMMIT, or
// anything else.
func sourceOf(p artifact.Package) provenance.Dependency {
	d := provenance.Dependency{Name: p.Revision, URI: p.Source}
	if _, commit, ok := strings.Cut(p.Revision, "@sha1:"); ok {
		d.Digest = map[string]string{"gitCommit": commit}
	}
	return d
}

// A renderedApp is the run of an App that an artifact was made of.
type renderedApp struct {
	plan   *pipeline.Plan
	report *pipeline.Report
}

// renderApp runs the stages of an App before publish and deploy.
func (t *tool) renderApp(cmd *cobra.Command, o *artifactPushOptions, events *render.JSON, p *artifact.Package) (*content.Set, error) {
	o.file.value = o.app
	s, err := t.openRun(cmd, &o.runFlags)
	if err != nil {
		return nil, err
	}
	s.opts.Until = stages.Build
	reports, _, err := t.runSteps(cmd.Context(), s, &o.engineFlags, events)
	if err != nil {
		return nil, err
	}
	report := reports[0]
	o.rendered = &renderedApp{s.plan, report}
	p.Images = report.Images
	if p.Source == "" && p.Revision == "" {
		p.Source, p.Revision = report.Origin.Source, report.Origin.Revision
	}
	return content.Parse("manifests of "+o.app, report.Manifests)
}
