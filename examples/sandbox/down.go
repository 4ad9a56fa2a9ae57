package main

import "github.com/spf13/cobra"

func newDown(g *global) *cobra.Command {
	var purge bool
	command := &cobra.Command{
		Use:   "down",
		Short: "Stop an instance and give back all that it has of the host",
		Long: `Down stops the instance's components and containers, and removes its mounts, network, packet filter
rules and control groups. Its data stays for the next up.`,
		Example: `  sandbox down
  sandbox down --name ci --purge`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := g.open()
			if err != nil {
				return err
			}
			if err := s.Down(cmd.Context(), purge); err != nil {
				return err
			}
			s.Say("instance %q is down", s.Name)
			return nil
		},
	}
	command.Flags().BoolVar(&purge, "purge", false, "remove the instance's data too")
	return command
}
