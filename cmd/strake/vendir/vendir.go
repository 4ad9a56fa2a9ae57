// Package vendir is strake under the name vendir: the library's own commands, of which sync fetches with
// strake's sources.
package vendir

import (
	"context"
	"io"
	"log"

	vendircmd "carvel.dev/vendir/pkg/vendir/cmd"
	"github.com/cppforlife/go-cli-ui/ui"
	"github.com/spf13/cobra"

	"strake.dev/strake/cmd/strake/carvel"
	"strake.dev/strake/internal/cache"
)

// A Program is what the command line needs of the process that it is called in.
type Program struct {
	// Cache opens the cache in a folder, or, with none, the user's; it may be nil.
	Cache func(dir string) (*cache.Store, error)
	// UserAgent names the program to servers.
	UserAgent string
	// Getenv reads the environment.
	Getenv func(string) string
}

// Main runs vendir's command line and returns an error when it failed, after it has printed it. It ends soon
// after ctx does.
func Main(ctx context.Context, args []string, p Program) error {
	// The libraries have something to say that is for their authors.
	log.SetOutput(io.Discard)
	return carvel.Tool{Name: "vendir", Tree: p.tree}.Run(ctx, args)
}

// tree is the library's, with a sync command that does our work.
func (p Program) tree(confUI *ui.ConfUI) *cobra.Command {
	root := vendircmd.NewDefaultVendirCmd(confUI)
	for _, cmd := range root.Commands() {
		if cmd.Name() != "sync" {
			continue
		}
		theirs := cmd.RunE
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return theirs(cmd, args) // which refuses them
			}
			flags, err := flagsOf(cmd)
			if err != nil {
				return err
			}
			flags.ui.ConfigureUI(confUI)
			s := &syncCommand{Program: p, ui: confUI, flags: flags}
			return s.run(cmd.Context())
		}
	}
	return root
}
