package main

import (
	"github.com/spf13/cobra"

	"strake.dev/strake/examples/sandbox/internal/build"
)

func newBuild(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "build",
		Short: "Build all components without starting any",
		Long: `Build compiles the programs of all components, unless the cache has them. Up does the same for those
that it needs.`,
		Example: "  sandbox build",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := g.open()
			if err != nil {
				return err
			}
			source, err := build.FindSource(g.source)
			if err != nil {
				return err
			}
			return s.Build(cmd.Context(), source)
		},
	}
}
