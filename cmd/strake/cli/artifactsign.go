package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"strake.dev/strake/internal/artifact"
	"strake.dev/strake/internal/cosign"
	"strake.dev/strake/internal/render"
	"strake.dev/strake/internal/signing"
	"strake.dev/strake/stages"
)

type artifactSignOptions struct {
	remoteFlags
	outputFlags
	timeoutFlag
	key  string
	form enum
}

func newArtifactSignCommand(t *tool) *cobra.Command {
	var opts artifactSignOptions
	cmd := &cobra.Command{
		Use:   "sign URL... [flags]",
		Short: "Sign artifacts and images with a key",
		Long: `Sign what URLs name, by its digest, with a private key of cosign or in PEM. A tag
is resolved once. The signature goes into the same repository, in the form that
all versions of cosign and Flux read (sig), in that of cosign 3 and Flux 2.8
(bundle), or in both. Signatures by other keys stay; one by the same key isn't
made twice.

The password of the key is taken from STRAKE_KEY_PASSWORD or COSIGN_PASSWORD.`,
		Example: `  strake artifact sign oci://registry.example.com/team/app-config:v1 --key cosign.key
  strake artifact sign oci://registry.example.com/team/app@sha256:… --key cosign.key --form bundle`,
		Args:              someURLs,
		ValidArgsFunction: t.completeArtifacts(&opts.remoteFlags),
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.key == "" {
				return &usageError{err: stages.WithHint(fmt.Errorf("--key FILE is missing"), "strake artifact generate-key-pair makes one"), line: cmd.UseLine()}
			}
			return t.artifactSign(cmd.Context(), args, &opts)
		},
	}
	opts.addFormat(cmd)
	opts.timeoutFlag.add(cmd)
	opts.addRegistry(cmd.Flags())
	cmd.Flags().StringVar(&opts.key, "key", "", "private key in `FILE`")
	fromEnv(cmd.Flags(), "key", "STRAKE_SIGN_KEY")
	opts.form = enum{value: string(cosign.Both), allowed: cosign.Forms(), what: "FORM"}
	addEnum(cmd, &opts.form, "form", "", "form of the signature")
	return cmd
}

func (t *tool) artifactSign(ctx context.Context, urls []string, o *artifactSignOptions) error {
	return t.conclude(ctx, "artifact sign", &o.outputFlags, func(*render.JSON) (printable, error) {
		signer, err := signing.LoadSigner(o.key, signing.Password(t.lookupEnv))
		if err != nil {
			return nil, err
		}
		deps, err := o.deps(t.userAgent())
		if err != nil {
			return nil, err
		}
		ctx, cancel := o.limit(ctx)
		defer cancel()
		digests, err := resolve(ctx, deps.Registry, urls)
		if err != nil {
			return nil, err
		}
		result := &artifactSignResult{Signed: []signedArtifact{}}
		for i, digest := range digests {
			written, err := cosign.Sign(ctx, deps.Registry, digest, signer, cosign.Options{Form: cosign.Form(o.form.value)})
			if err != nil {
				return result, err
			}
			result.Signed = append(result.Signed, signedArtifact{URL: urls[i], Digest: artifact.URL(digest), Changed: written})
		}
		return result, nil
	})
}

type artifactSignResult struct {
	Signed []signedArtifact `json:"signed"`
}

type signedArtifact struct {
	URL string `json:"url"`
	// Digest is what the URL named, by its digest.
	Digest string `json:"digest"`
	// Changed tells whether a signature was written; otherwise there were all already.
	Changed bool `json:"changed"`
}

func (r *artifactSignResult) print(w io.Writer) {
	for _, s := range r.Signed {
		if s.Changed {
			fmt.Fprintf(w, "signed %s\n", s.Digest)
		} else {
			fmt.Fprintf(w, "unchanged %s: it is signed by this key already\n", s.Digest)
		}
	}
}
