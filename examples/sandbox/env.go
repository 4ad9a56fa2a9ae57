package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func newEnv(g *global) *cobra.Command {
	var output string
	command := &cobra.Command{
		Use:   "env",
		Short: "Print the variables that lead programs to an instance",
		Long:  "Env prints the variables that lead programs to the instance, as shell export lines or one JSON object.",
		Example: `  eval "$(sandbox env)"
  sandbox env --output json`,
		Args:    cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error { return checkOutput(output) },
		RunE: func(*cobra.Command, []string) error {
			s, err := g.open()
			if err != nil {
				return err
			}
			env, err := s.Env()
			if err != nil {
				return err
			}
			if output == "json" {
				object := make(map[string]string, len(env))
				for _, variable := range env {
					object[variable.Name] = variable.Value
				}
				return g.printJSON(object)
			}
			for _, variable := range env {
				if _, err := fmt.Fprintf(g.out, "export %s=%s\n", variable.Name, quote(variable.Value)); err != nil {
					return err
				}
			}
			return nil
		},
	}
	addOutput(command, &output)
	return command
}

// quote makes one word of a shell's language out of a value.
func quote(value string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=@,+%", r)
	}
	if value != "" && strings.IndexFunc(value, func(r rune) bool { return !plain(r) }) < 0 {
		return value
	}
	return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
}
