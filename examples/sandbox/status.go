package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"strake.dev/strake/examples/sandbox/internal/sandbox"
)

func newStatus(g *global) *cobra.Command {
	var output string
	command := &cobra.Command{
		Use:   "status",
		Short: "Tell which components of an instance run",
		Long:  "Status tells which components of the instance run. Its exit code is 0 if all do, else 1.",
		Example: `  sandbox status
  sandbox status --output json`,
		Args:    cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error { return checkOutput(output) },
		RunE: func(*cobra.Command, []string) error {
			s, err := g.open()
			if err != nil {
				return err
			}
			status, err := s.Status()
			if err != nil {
				return err
			}
			if err := g.printStatus(status, output); err != nil {
				return err
			}
			if !status.Running {
				return errors.New("not all components run; up starts them")
			}
			return nil
		},
	}
	addOutput(command, &output)
	return command
}

func (s streams) printStatus(status *sandbox.Status, output string) error {
	if output == "json" {
		return s.printJSON(status)
	}
	table := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "COMPONENT\tSTATE\tPID\tLOG")
	for _, c := range status.Components {
		state, pid := "stopped", ""
		if c.Running {
			state, pid = "running", fmt.Sprint(c.PID)
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", c.Name, state, pid, c.Log)
	}
	return table.Flush()
}

// addOutput adds the flag that chooses between text and JSON.
func addOutput(command *cobra.Command, output *string) {
	command.Flags().StringVarP(output, "output", "o", "text", "text or json")
}

func checkOutput(output string) error {
	if output != "text" && output != "json" {
		return fmt.Errorf("--output=%s: use text or json", output)
	}
	return nil
}

func (s streams) printJSON(value any) error {
	encoder := json.NewEncoder(s.out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
