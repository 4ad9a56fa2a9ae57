package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"strake.dev/strake/examples/sandbox/internal/sandbox"
)

func newDoctor(g *global) *cobra.Command {
	var node string
	command := &cobra.Command{
		Use:     "doctor",
		Short:   "Tell what is missing on this machine",
		Long:    "Doctor names all programs that are missing on this machine, and the packages that have them.",
		Example: "  sandbox doctor --node kwok",
		Args:    cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error { return checkNode(node) },
		RunE: func(*cobra.Command, []string) error {
			if err := sandbox.Doctor(node); err != nil {
				return err
			}
			_, err := fmt.Fprintln(g.out, "nothing is missing")
			return err
		},
	}
	command.Flags().StringVar(&node, "node", sandbox.NodeReal, "kind of node to check for: real or kwok")
	return command
}
