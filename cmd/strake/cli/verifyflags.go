package cli

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"

	"strake.dev/strake/internal/cosign"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/internal/signing"
	"strake.dev/strake/stages"
)

// verifyFlags say who must have signed what a command reads.
type verifyFlags struct {
	keys   []string
	policy string
	// keyFlag is the flag for keys.
	keyFlag string
}

// add adds the flags; keys are given by the one with that name.
func (f *verifyFlags) add(cmd *cobra.Command, keyFlag string) {
	f.keyFlag = keyFlag
	flags := cmd.Flags()
	flags.StringArrayVar(&f.keys, keyFlag, nil, "public key in `FILE`; of several, any will do (repeatable)")
	fromEnv(flags, keyFlag, "STRAKE_VERIFY_KEY")
	flags.StringVar(&f.policy, "policy", "", "SignaturePolicy in `FILE`, which says who must have signed what")
	fromEnv(flags, "policy", "STRAKE_SIGNATURE_POLICY")
}

// required returns an error if nothing is to be verified.
func (f *verifyFlags) required(cmd *cobra.Command) error {
	if len(f.keys) > 0 || f.policy != "" {
		return nil
	}
	return &usageError{
		err:  stages.WithHint(fmt.Errorf("nobody is named who must have signed"), "name a public key with --%s FILE, or a policy with --policy FILE", f.keyFlag),
		line: cmd.UseLine(),
	}
}

// A verifier verifies a digest. Signers are empty where a policy lets it be unsigned.
type verifier func(ctx context.Context, digest name.Digest) (*cosign.Verified, error)

// verifier reads the keys or the policy. Without either it is nil.
func (f *verifyFlags) verifier(ctx context.Context, client *registry.Client) (verifier, error) {
	if f.policy != "" && len(f.keys) > 0 {
		return nil, fmt.Errorf("--%s and --policy can't be given together", f.keyFlag)
	}
	if f.policy != "" {
		policy, err := cosign.LoadPolicy(ctx, f.policy, cosign.NoSecrets)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, digest name.Digest) (*cosign.Verified, error) {
			return policy.Verify(ctx, client, digest)
		}, nil
	}
	var requirement cosign.Requirement
	for _, file := range f.keys {
		key, err := signing.LoadVerifier(file)
		if err != nil {
			return nil, err
		}
		requirement.Keys = append(requirement.Keys, key)
	}
	if len(requirement.Keys) == 0 {
		return nil, nil
	}
	return func(ctx context.Context, digest name.Digest) (*cosign.Verified, error) {
		return cosign.Verify(ctx, client, digest, requirement)
	}, nil
}

// check reads the keys or the policy, and returns what refuses a digest that isn't signed as they want. It is
// nil if there is neither.
func (f *verifyFlags) check(ctx context.Context, client *registry.Client) (func(context.Context, name.Digest) error, error) {
	verify, err := f.verifier(ctx, client)
	if verify == nil || err != nil {
		return nil, err
	}
	return func(ctx context.Context, digest name.Digest) error {
		_, err := verify(ctx, digest)
		return err
	}, nil
}
