package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"strake.dev/strake/examples/sandbox/internal/build"
	"strake.dev/strake/examples/sandbox/internal/sandbox"
)

func newUp(g *global) *cobra.Command {
	var options sandbox.UpOptions
	command := &cobra.Command{
		Use:   "up",
		Short: "Bring an instance up, or what of it is not running",
		Long: `Up starts what is not running of the instance and waits until everything answers: the node takes pods,
the default service account is there, and the registry has its base images. It can be repeated at
any time, also after it was interrupted. What runs already is left alone.

The first up builds the components, which takes minutes.`,
		Example: `  sandbox up
  sandbox up --name ci --node kwok`,
		Args: cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error {
			return checkNode(options.Node)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := g.open()
			if err != nil {
				return err
			}
			if options.Source, err = build.FindSource(g.source); err != nil {
				return err
			}
			began := time.Now()
			if err := s.Up(cmd.Context(), options); err != nil {
				if cmd.Context().Err() != nil {
					return fmt.Errorf("interrupted: up goes on from here, down clears up (%w)", err)
				}
				return err
			}
			s.Say("instance %q is up after %.1fs", s.Name, time.Since(began).Seconds())
			return nil
		},
	}
	command.Flags().StringVar(&options.Node, "node", "", "real: pods run; kwok: pods only seem to run (default: real if that is possible)")
	command.Flags().DurationVar(&options.Timeout, "timeout", 2*time.Minute, "time for each component to be ready, building apart")
	return command
}

func checkNode(node string) error {
	switch node {
	case "", sandbox.NodeReal, sandbox.NodeKwok:
		return nil
	}
	return fmt.Errorf("--node=%s: use real or kwok", node)
}
