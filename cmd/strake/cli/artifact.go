package cli

import (
	"github.com/spf13/cobra"
)

// newArtifactCommand returns the parent of all commands about artifacts.
func newArtifactCommand(t *tool) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "artifact",
		Short: "Keep configuration in container registries: push, pull, sign, verify, copy…",
		Long: `Keep Kubernetes manifests in container registries, as OCI artifacts that strake,
Kustomizer and Flux read, or as bundles of imgpkg. Credentials are those of
DOCKER_CONFIG, as docker login leaves them.`,
		Example: `  strake artifact push oci://ghcr.io/org/app-config:v1.0.0 -k ./overlays/prod
  strake artifact inspect oci://ghcr.io/org/app-config:v1.0.0`,
		Args: noCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newArtifactPushCommand(t), newArtifactPullCommand(t), newArtifactTagCommand(t), newArtifactListCommand(t),
		newArtifactInspectCommand(t), newArtifactDiffCommand(t), newArtifactCopyCommand(t),
		newArtifactSignCommand(t), newArtifactVerifyCommand(t), newArtifactGenerateKeyPairCommand(t),
	)
	return cmd
}

// oneURL wants the URL of an artifact.
func oneURL(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usagef(cmd, "expected the URL of one artifact, found %d arguments", len(args))
	}
	return nil
}

// sayText prints lines of progress on standard output, where people read the result, and nothing where the
// result is JSON.
func (t *tool) sayText(f *outputFlags) func(string) {
	if f.format.value == formatJSON {
		return func(string) {}
	}
	return say(t.harmless(t.out))
}
