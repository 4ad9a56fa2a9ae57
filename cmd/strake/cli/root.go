package cli

import (
	"github.com/spf13/cobra"
)

const rootHelp = `strake takes source code to a running app on Kubernetes. It reads an App, or a
Pipeline, and runs its stages: fetch, verify, template, build, publish, deploy.

` + exitHelp + `

Environment:
  STRAKE_* equals the flag that names it in brackets; the command line wins.
  KUBECONFIG, DOCKER_CONFIG, BUILDKIT_HOST, XDG_CACHE_HOME, HTTPS_PROXY,
  NO_PROXY, SSL_CERT_FILE, SOURCE_DATE_EPOCH, NO_COLOR, CI, GITHUB_ACTIONS and
  GITLAB_CI are honoured.

JSON:
  With --output json, standard output holds one JSON object a line. A command
  that has a run begins with the type "stream-started", which names the schema
  of the lines (strake schema events), goes on with the events of the run, and
  ends with the type "run-finished": command, outcome (succeeded, failed,
  interrupted, timed-out, pending), exitCode, counts, error, hint, diagnostics
  and the command's own result. Other commands print only such a last line, of
  the type "result".

Reports:
  --report FORMAT=FILE writes one; strake report renders those of earlier runs.
  In GitHub Actions (GITHUB_ACTIONS=true) annotations, the step's summary and
  its outputs are written as well.`

// newRootCommand returns the command tree.
func newRootCommand(t *tool) *cobra.Command {
	var showVersion bool
	root := &cobra.Command{
		Use:   "strake",
		Short: "From source code to a running app on Kubernetes",
		Long:  rootHelp,
		Example: `  strake run -f app.yaml
  strake plan -f app.yaml
  strake render -f app.yaml --until template`,
		Args: noCommand,
		// Errors are printed in one place, with their hints.
		SilenceErrors: true,
		SilenceUsage:  true,
		// One transposition is at this distance.
		SuggestionsMinimumDistance: 2,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := t.readEnv(cmd); err != nil {
				return err
			}
			t.learnSecrets(cmd)
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if showVersion {
				t.versions().print(t.out)
				return nil
			}
			return cmd.Help()
		},
	}
	root.Flags().BoolVar(&showVersion, "version", false, "print the versions of strake and of what it embeds")
	root.SetIn(t.in)
	root.SetOut(t.out)
	root.SetErr(t.err)
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(
		newRunCommand(t), newPlanCommand(t), newApplyCommand(t), newRenderCommand(t), newBuildCommand(t),
		newDeleteCommand(t), newInspectCommand(t), newHistoryCommand(t), newRollbackCommand(t), newAppsCommand(t), newGetCommand(t), newDiffCommand(t), newAdoptCommand(t), newInitCommand(t), newValidateCommand(t),
		newLockCommand(t), newCacheCommand(t), newReportCommand(t), newSchemaCommand(t), newPluginsCommand(t), newVersionCommand(t), newManCommand(t),
		newHookCommand(t), newKbldToolCommand(t), newArtifactCommand(t),
	)
	addKustomizerCommands(t, root)
	for _, n := range namesakes {
		root.AddCommand(newNamesakeCommand(t, n))
	}
	addCompletions(root)
	return root
}
