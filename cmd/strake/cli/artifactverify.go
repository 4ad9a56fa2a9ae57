package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"strake.dev/strake/internal/artifact"
	"strake.dev/strake/internal/cosign"
	"strake.dev/strake/internal/render"
)

type artifactVerifyOptions struct {
	remoteFlags
	outputFlags
	timeoutFlag
	verifyFlags
}

func newArtifactVerifyCommand(t *tool) *cobra.Command {
	var opts artifactVerifyOptions
	cmd := &cobra.Command{
		Use:   "verify URL... [flags]",
		Short: "Verify who has signed artifacts and images",
		Long: `Verify that what URLs name is signed: by one of the keys, or by whom a policy
wants. A tag is resolved once, and the digest that it names is verified and
printed. Signatures are found in both forms of cosign, without cosign and
without any server but the registry.

If there is no signature at all, the exit code is 9; if there are some, and none
of them counts, it is 5.`,
		Example: `  strake artifact verify oci://registry.example.com/team/app-config:v1 --key cosign.pub
  strake artifact verify oci://registry.example.com/team/app:v1 --policy policy.yaml`,
		Args:              someURLs,
		ValidArgsFunction: t.completeArtifacts(&opts.remoteFlags),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.required(cmd); err != nil {
				return err
			}
			return t.artifactVerify(cmd.Context(), args, &opts)
		},
	}
	opts.addFormat(cmd)
	opts.timeoutFlag.add(cmd)
	opts.addRegistry(cmd.Flags())
	opts.verifyFlags.add(cmd, "key")
	return cmd
}

func (t *tool) artifactVerify(ctx context.Context, urls []string, o *artifactVerifyOptions) error {
	return t.conclude(ctx, "artifact verify", &o.outputFlags, func(*render.JSON) (printable, error) {
		deps, err := o.deps(t.userAgent())
		if err != nil {
			return nil, err
		}
		ctx, cancel := o.limit(ctx)
		defer cancel()
		verify, err := o.verifier(ctx, deps.Registry)
		if err != nil {
			return nil, err
		}
		digests, err := resolve(ctx, deps.Registry, urls)
		if err != nil {
			return nil, err
		}
		result := &artifactVerifyResult{Verified: []verifiedArtifact{}}
		var found []error
		for i, digest := range digests {
			v, err := verify(ctx, digest)
			if err != nil {
				found = append(found, err)
				continue
			}
			result.Verified = append(result.Verified, verifiedArtifact{URL: urls[i], Digest: artifact.URL(digest), Signers: v.Signers})
		}
		return result, errors.Join(found...)
	})
}

type artifactVerifyResult struct {
	Verified []verifiedArtifact `json:"verified"`
}

type verifiedArtifact struct {
	URL string `json:"url"`
	// Digest is what the URL named, by its digest.
	Digest string `json:"digest"`
	// Signers are those whose signatures count; none means that a policy lets it be unsigned.
	Signers []cosign.Signer `json:"signers"`
}

func (r *artifactVerifyResult) print(w io.Writer) {
	for _, v := range r.Verified {
		var names []string
		for _, s := range v.Signers {
			names = append(names, render.Line(s.Name))
		}
		if len(names) == 0 {
			fmt.Fprintf(w, "allowed %s: the policy doesn't ask for a signature\n", v.Digest)
			continue
		}
		fmt.Fprintf(w, "verified %s: signed by %s\n", v.Digest, strings.Join(names, ", "))
	}
}
