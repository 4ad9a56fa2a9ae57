package artifact

import (
	"context"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"strake.dev/strake/internal/provenance"
	"strake.dev/strake/internal/signing"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// describe attaches to an artifact what it was made of and by what.
func (s *step) describe(ctx context.Context, job *stages.Job, p *provenance.Statement, digest name.Digest, signer *signing.Signer) error {
	written, err := provenance.Attach(ctx, s.registry, digest, *p, signer)
	if err == nil && written {
		stages.Log(job.Events, "attached the provenance of "+digest.Name())
	}
	return err
}

// statement says what the manifests were made of: the sources and images that the lock file has, and the steps
// before this one.
func statement(job *stages.Job, images []schema.LockedImage) *provenance.Statement {
	in := provenance.Inputs{
		App: job.App.Namespace + "/" + job.App.Name, Strake: strings.TrimPrefix(job.Version, "strake "), Plugins: map[string]string{},
	}
	for _, b := range job.Before {
		in.Stages = append(in.Stages, string(b.Stage)+" "+b.Plugin)
		in.Plugins[b.Plugin] = b.Version
	}
	urls := strings.Split(job.Origin.Source, ",")
	for n, source := range job.Fetched {
		url := ""
		if len(urls) == len(job.Fetched) {
			url = urls[n]
		}
		in.Sources = append(in.Sources, provenance.Source(source, url))
	}
	for _, i := range images {
		in.Images = append(in.Images, provenance.Image(i.Annotations[schema.AnnotationImageID], i.Image))
	}
	made := provenance.New(in)
	return &made
}
