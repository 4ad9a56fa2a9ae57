package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"strake.dev/strake/schema"
)

func newSchemaCommand(t *tool) *cobra.Command {
	kinds := schema.JSONSchemaKinds()
	return &cobra.Command{
		Use:   "schema [" + strings.Join(kinds, "|") + "]",
		Short: "Print the JSON Schema of files, or of the events of a run",
		Long: `Print a JSON Schema, for editors and for checks without strake. An editor with
the YAML language server takes it from a first line such as
  # yaml-language-server: $schema=./app.schema.json
That of events is for each line of --output json, and of reports in JSON; that of
plugin for each line that strake and an executable plugin exchange.`,
		Example:   "  strake schema app > app.schema.json",
		Args:      oneOf(kinds...),
		ValidArgs: kinds,
		RunE: func(_ *cobra.Command, args []string) error {
			kind := kinds[0]
			if len(args) > 0 {
				kind = args[0]
			}
			text, err := schema.JSONSchema(kind)
			if err != nil {
				return err
			}
			_, err = t.out.Write(text)
			return err
		},
	}
}
