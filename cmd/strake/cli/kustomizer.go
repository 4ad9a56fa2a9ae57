package cli

import (
	"github.com/spf13/cobra"

	"strake.dev/strake/internal/artifact"
)

// addKustomizerCommands adds commands of Kustomizer in its own words, a verb and then “artifact”, to a
// command tree. They are those of “strake artifact”, and help texts don't name them twice.
func addKustomizerCommands(t *tool, root *cobra.Command) {
	for verb, command := range map[string]func(*tool) *cobra.Command{
		"push": newArtifactPushCommand, "pull": newArtifactPullCommand, "tag": newArtifactTagCommand, "list": newArtifactListCommand,
		"inspect": newArtifactInspectCommand, "diff": newArtifactDiffCommand,
	} {
		under, _, err := root.Find([]string{verb})
		if err != nil || under == root {
			under = &cobra.Command{Use: verb, Short: "Like strake artifact " + verb, Hidden: true, Args: noCommand, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
			root.AddCommand(under)
		}
		cmd := command(t)
		cmd.Use, cmd.Aliases, cmd.Hidden = "artifact"+cmd.Use[len(verb):], []string{"artifacts"}, true
		under.AddCommand(cmd)
	}
}

// buildAndPush are the flags by which build makes an artifact of a kustomization in one step.
type buildAndPush struct{ kustomize, artifact string }

func (f *buildAndPush) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&f.kustomize, "kustomize", "k", "", "build the kustomization of a `FOLDER` and push it, instead of building an App's images")
	flags.StringVarP(&f.artifact, "artifact", "a", "", "`URL` to push to: oci://HOST/REPOSITORY:TAG")
	cmd.MarkFlagsRequiredTogether("kustomize", "artifact")
	cmd.MarkFlagsMutuallyExclusive("kustomize", "file")
	_ = cmd.MarkFlagDirname("kustomize") // the flag exists
}

// options are those of artifact push.
func (f *buildAndPush) options(b *buildFlags) *artifactPushOptions {
	o := &artifactPushOptions{form: enum{value: artifact.FormatArtifact}, encrypt: enum{value: encryptAll}}
	o.kustomize = f.kustomize
	o.runFlags = b.runFlags
	return o
}
