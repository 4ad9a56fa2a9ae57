package cli

import (
	"context"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"

	"strake.dev/strake/internal/artifact"
	"strake.dev/strake/internal/registry"
)

// someURLs accepts one or more URLs of artifacts.
func someURLs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usagef(cmd, "expected at least one URL")
	}
	for _, url := range args {
		if _, err := artifact.ParseURL(url); err != nil {
			return &usageError{err: err, line: cmd.UseLine()}
		}
	}
	return nil
}

// resolve returns the digest that each URL names at the moment.
func resolve(ctx context.Context, client *registry.Client, urls []string) ([]name.Digest, error) {
	var digests []name.Digest
	for _, url := range urls {
		ref, err := artifact.ParseURL(url)
		if err != nil {
			return nil, err
		}
		digest, err := artifact.Resolve(ctx, client, ref)
		if err != nil {
			return nil, err
		}
		digests = append(digests, digest)
	}
	return digests, nil
}
