package cli

import (
	"context"
	"os"
	"os/exec"

	kbldcmd "carvel.dev/kbld/pkg/kbld/cmd"
	"github.com/spf13/cobra"

	"strake.dev/strake/cmd/strake/kbld"
	"strake.dev/strake/internal/hook"
	"strake.dev/strake/plugins"
	plugin "strake.dev/strake/plugins/kbld"
)

// kbld is the program under that name. Its error is a toldError.
func (t *tool) kbld(ctx context.Context, args []string) error {
	quiet()
	return told(kbld.Main(ctx, args, kbld.Program{
		Deps:   t.kbldDeps,
		Getenv: t.getenv,
		Stderr: t.err,
		Abort:  t.abort(ctx),
	}))
}

// kbldDeps makes the clients that a kbld works with.
func (t *tool) kbldDeps(flags kbldcmd.RegistryFlags, policy *hook.Policy) (plugin.Deps, error) {
	deps, err := t.clients(flags, policy)
	return plugin.Deps{
		Registry: deps.Registry, Builder: deps.Builder, ToolCommand: deps.ToolCommand, UserAgent: deps.UserAgent,
	}, err
}

// clients are those of a kbld. What are flags elsewhere comes from the environment here: kbld's own
// flags are all there are. With a policy, builds go where that says.
func (t *tool) clients(flags kbldcmd.RegistryFlags, policy *hook.Policy) (plugins.Deps, error) {
	var remote remoteFlags
	cmd := &cobra.Command{Use: "kbld"}
	remote.add(cmd.Flags())
	if err := t.readEnv(cmd); err != nil {
		return plugins.Deps{}, err
	}
	remote.cas = append(remote.cas, flags.CACertPaths...)
	remote.skipVerify, remote.allowHTTP = !flags.VerifyCerts, flags.Insecure
	if policy != nil {
		if err := remote.confine(policy); err != nil {
			return plugins.Deps{}, err
		}
	}
	return remote.deps(t.userAgent())
}

// kbldToolName is the command that strake calls itself with to have a source built by pack, ko or bazel.
const kbldToolName = "kbld-tool"

func newKbldToolCommand(t *tool) *cobra.Command {
	return &cobra.Command{
		Use:    kbldToolName,
		Short:  "Build one source with pack, ko or bazel, for a strake that waits for it",
		Hidden: true,
		Args:   noArgs,
		RunE:   func(*cobra.Command, []string) error { return plugin.ServeTool(t.in, t.out, t.err) },
	}
}

func kbldToolCommand(ctx context.Context) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, kbldToolName)
	// Whatever the file is called: by another name it could be kbld.
	cmd.Args[0] = "strake"
	return cmd, nil
}
