package cli

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"strake.dev/strake/internal/hook"
)

func newHookCommand(t *tool) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hook",
		Short: "Put strake into a stock kapp-controller, and have it build there",
		Long: `Put strake into a stock kapp-controller, in the place of its tools, and have the
images of Apps built from source there. The image of kapp-controller stays as it
is. Builds are what the operator allows: see the policy in
examples/kapp-controller-hook.`,
		Example: `  strake hook manifest --image registry.example.com/strake:v1 \
    --buildkit-addr tcp://buildkitd.buildkit:1234 --destination registry.example.com/apps`,
		Args: noCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newHookInstallCommand(t), newHookManifestCommand(t), newHookDoctorCommand(t))
	return cmd
}

// addTools adds --tools.
func addTools(cmd *cobra.Command, tools *[]string, usage string) {
	*tools = hook.Tools
	cmd.Flags().StringSliceVar(tools, "tools", hook.Tools, usage+": `NAMES` with commas in between")
}

func newHookInstallCommand(*tool) *cobra.Command {
	var tools []string
	cmd := &cobra.Command{
		Use:   "install FOLDER [flags]",
		Short: "Copy strake to a folder, under the names of kapp-controller's tools",
		Long: `Copy this program to a folder, as strake, with a link to it for each of the tools
that it is to be. It can be repeated, and replaces what an earlier one has
installed at once.`,
		Example: "  strake hook install /strake/bin --tools ytt,kbld",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef(cmd, "expected one folder, found %d arguments", len(args))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			return hook.Install(self, args[0], trimmed(tools))
		},
	}
	addTools(cmd, &tools, "what to install")
	return cmd
}

// trimmed are the words of a list, without blanks and empty ones.
func trimmed(list []string) []string {
	var words []string
	for _, word := range list {
		if word = strings.TrimSpace(word); word != "" {
			words = append(words, word)
		}
	}
	return words
}
