package main

import (
	"strings"

	"github.com/spf13/cobra"

	"strake.dev/strake/examples/sandbox/internal/build"
	"strake.dev/strake/examples/sandbox/internal/sandbox"
)

func newSeed(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "seed IMAGE...",
		Short: "Give an instance's registry further base images",
		Long: `Seed makes images out of what this machine has and gives them to the registry of an instance that is
up, under the names that they have at Docker Hub: moby/buildkit, registry and node. What is there
already is not sent again. node needs the program node, which Debian has in the package nodejs.`,
		Example: `  sandbox seed buildkit registry
  sandbox seed node`,
		ValidArgs: sandbox.ExtraImages(),
		Args:      cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := g.open()
			if err != nil {
				return err
			}
			source, err := build.FindSource(g.source)
			if err != nil {
				return err
			}
			if err := s.Seed(cmd.Context(), source, args); err != nil {
				return err
			}
			s.Say("the registry of instance %q has %s", s.Name, strings.Join(args, ", "))
			return nil
		},
	}
}
