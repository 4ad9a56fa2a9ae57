// Sandbox starts a throw-away registry, BuildKit and Kubernetes on this machine, for examples and
// tests.
package main

import (
	"fmt"
	"io"
	"sync"

	"github.com/spf13/cobra"

	"strake.dev/strake/examples/sandbox/internal/sandbox"
)

// streams are where commands write: results to out, all else to err.
type streams struct{ out, err io.Writer }

// global are the flags of all commands.
type global struct {
	streams
	name   string
	source string
}

func newRoot(out, err io.Writer) *cobra.Command {
	g := &global{streams: streams{out, err}}
	root := &cobra.Command{
		Use:   "sandbox",
		Short: "Start a throw-away registry, BuildKit and Kubernetes on this machine",
		Long: `Sandbox starts a registry, buildkitd and a Kubernetes cluster of one node on this machine, all of them
the real programs, built from their Go modules. Several instances can run side by side.

State is kept below $STRAKE_SANDBOX_HOME, else $XDG_STATE_HOME/strake/sandbox, else
~/.local/state/strake/sandbox. Builds are kept below $XDG_CACHE_HOME/strake/sandbox.`,
		Example: `  sandbox up
  eval "$(sandbox env)"
  $STRAKE_SANDBOX_BIN/kubectl get nodes
  sandbox down --purge`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.PersistentFlags().StringVar(&g.name, "name", "default", "name of the instance")
	root.PersistentFlags().StringVar(&g.source, "source", "", "folder examples/sandbox of a checkout, to build components from (default: where this program was built)")
	root.AddCommand(newUp(g), newSeed(g), newDown(g), newStatus(g), newEnv(g), newLogs(g), newBuild(g), newDoctor(g))
	return root
}

// open returns the instance that the flags name.
func (g *global) open() (*sandbox.Sandbox, error) {
	var mu sync.Mutex
	return sandbox.Open(g.name, func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = fmt.Fprintf(g.err, format+"\n", args...)
	})
}
